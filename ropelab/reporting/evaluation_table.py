"""Records of evaluations as tables: arms down, lengths across; the scores of several families of questions in one.

What a value is follows from its evaluation: scores of questions are shares, with Wilson's interval; NLL of texts is
printed as perplexity; everything else as it is, with Student's interval where texts have a deviation. Numbers of single
heads are left to the figure. Records come with the depths of a length added up.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ropelab.evaluation import intervals
from ropelab.reporting.numbers import perplexity
from ropelab.reporting.perplexity_table import number
from ropelab.reporting.runs import markdown

Record = Mapping[str, Any]
MORE, LESS, NEITHER = 1, -1, 0
WIDE = 200  # columns where there is no terminal: rich would cut a table at 80
SCORES, NATS = "Scores", "Nats per token of the expected answer"
HEAD = ".layer_"  # in the names of single heads' numbers
TEXTS = ("resolution", "attention", "heads", "summaries")


class Mean(NamedTuple):
    """A mean, over how many things, and their standard deviation; None where there was nothing, or it is not known."""

    value: float | None
    over: int
    deviation: float | None = None


class Kind(NamedTuple):
    """How an evaluation is printed, and which value of a column is the best.

    Attributes:
        title: of its table.
        text: of one value.
        better: `MORE`, `LESS`, or `NEITHER`.
        things: what its values are means of.
        family: of evaluations that share a table.
    """

    title: str
    text: Callable[[Mean], str]
    better: int
    things: str
    family: str = ""


def kind(name: str) -> Kind:
    """Of an evaluation by its name in the records."""
    evaluation, _, part = name.partition(".")
    if evaluation == "perplexity":
        what = {"nll": "", "nll_by_windows": ", mean of windows as YaRN's scripts take it"}
        title = f"Perplexity{what.get(part, ', ' + part.replace('nll_', '').replace('_', ' ') + ' tokens')}"
        return Kind(title, exp, LESS, "windows" if part == "nll_by_windows" else "tokens scored")
    if evaluation == "longppl":
        if part == "nll":
            return Kind("LongPPL, perplexity of the key tokens", exp, LESS, "key tokens")
        return Kind("LongPPL, share of key tokens", plain, NEITHER, "tokens judged")
    if evaluation in TEXTS:
        better = MORE if evaluation == "summaries" else NEITHER
        return Kind(f"{evaluation}{', ' + part.replace('_', ' ') if part else ''}", plain, better, "texts")
    if part == "nll":
        return Kind(f"{evaluation}: nats per token of the expected answer", plain, LESS, "questions", NATS)
    if part == "token":
        return Kind(
            f"{evaluation}: score by token", share_with_interval, MORE, "tokens asked for", f"{SCORES} by token"
        )
    return Kind(f"{evaluation}: score", share_with_interval, MORE, "questions", SCORES)


def interval_of(name: str, mean: Mean) -> intervals.Interval:
    """Between what a value of an evaluation lies, as it is printed."""
    value = math.nan if mean.value is None else mean.value
    how = kind(name)
    if how.text is share_with_interval and mean.value is not None:
        return intervals.Interval(value, *intervals.wilson_interval(value * mean.over, mean.over))
    off = intervals.half_width(mean.deviation, mean.over) if how.text is plain and mean.deviation is not None else 0.0
    return intervals.Interval(value, value - off, value + off)


def exp(mean: Mean) -> str:
    return "–" if mean.value is None else number(perplexity(mean.value))


def plain(mean: Mean) -> str:
    if mean.value is None:
        return "–"
    off = "" if mean.deviation is None else f" ± {intervals.half_width(mean.deviation, mean.over):.2g}"
    return f"{mean.value:.4g}{off}"


def share_with_interval(mean: Mean) -> str:
    if mean.value is None:
        return "–"
    low, high = intervals.wilson_interval(mean.value * mean.over, mean.over)
    return f"{mean.value:.2f} [{low:.2f}, {high:.2f}]"


def by_length(records: Sequence[Record], name: str) -> dict[str, dict[int, Mean]]:
    """Arm → length → the mean."""
    found: dict[str, dict[int, Mean]] = {}
    for record in records:
        if record["eval"] == name:
            mean = Mean(record["value"], record["count"], record.get("deviation"))
            found.setdefault(record["arm"], {})[record["length"]] = mean
    return found


def best(values: Mapping[str, Mean], name: str) -> set[str]:
    """The arms with the best value of a column of an evaluation; none where intervals overlap, or all share it."""
    better = kind(name).better
    if better == NEITHER:
        return set()
    known = {arm: interval_of(name, mean) for arm, mean in values.items() if mean.value is not None}
    return intervals.clear_best(known, max if better == MORE else min)


def layout(records: Sequence[Record], name: str) -> tuple[list[int], dict[str, list[tuple[str, bool]]]]:
    """`(lengths, arm → cells)`, each cell a text and whether it is the best of its column."""
    arms, how = by_length(records, name), kind(name)
    lengths = sorted({length for values in arms.values() for length in values})
    tops = {n: best({arm: values.get(n, Mean(None, 0)) for arm, values in arms.items()}, name) for n in lengths}
    cells = {
        arm: [(how.text(values.get(n, Mean(None, 0))), arm in tops[n]) for n in lengths] for arm, values in arms.items()
    }
    return lengths, cells


class Sheet(NamedTuple):
    """A table: its title, its head, and its lines with whether each cell is the best of its kind."""

    title: str
    head: list[str]
    lines: list[list[tuple[str, bool]]]
    notes: list[str]


def sheets(records: Sequence[Record]) -> list[Sheet]:
    """One table for each evaluation; those of questions together, if there are several."""
    together: dict[str, list[str]] = {}
    for name in names(records):
        together.setdefault(kind(name).family or name, []).append(name)
    return [sheet(records, family, own) for family, own in together.items()]


def sheet(records: Sequence[Record], family: str, own: Sequence[str]) -> Sheet:
    several = len(own) > 1
    lengths = sorted({record["length"] for record in records if record["eval"] in own})
    lines = []
    for name in own:
        there, cells = layout(records, name)
        for arm, row in cells.items():
            found = dict(zip(there, row, strict=True))
            label = [(name.partition(".")[0], False)] if several else []
            lines.append([*label, (arm, False), *(found.get(n, ("", False)) for n in lengths)])
    head = [*(["evaluation"] if several else []), "arm", *map(str, lengths)]
    notes = [f"{name}: {protocol(records, name)}" if several else protocol(records, name) for name in own]
    return Sheet(family if several else kind(own[0]).title, head, lines, notes)


def names(records: Sequence[Record]) -> list[str]:
    """The evaluations of some records that have a table, in order."""
    return list(dict.fromkeys(record["eval"] for record in records if HEAD not in record["eval"]))


def protocol(records: Sequence[Record], name: str) -> str:
    """How a table was made, and over how many things each column is."""
    own = [record for record in records if record["eval"] == name]
    counts = {n: sorted({r["count"] for r in own if r["length"] == n}) for n in sorted({r["length"] for r in own})}
    over = "; ".join(f"{' or '.join(map(str, count))} at {n}" for n, count in counts.items())
    return f"{own[0]['protocol']}; {kind(name).things}: {over}"


def markdown_table(sheet: Sheet) -> str:
    lines = [[f"**{text}**" if top else text for text, top in line] for line in sheet.lines]
    return markdown(sheet.head, lines)


def print_tables(records: Sequence[Record], console: Console | None = None) -> None:
    """Every table in the terminal, the protocol under it; in a file or a pipe as wide as the table is."""
    console = console or Console()
    console = console if console.is_terminal else Console(file=console.file, width=WIDE)
    for sheet in sheets(records):
        table = Table(title=sheet.title, title_justify="left")
        for name in sheet.head:
            table.add_column(name, overflow="fold", justify="right" if name.isdecimal() else "left")
        for line in sheet.lines:
            table.add_row(*(Text(text, style="bold" if top else "") for text, top in line))
        console.print(table)
        for note in sheet.notes:
            console.print(note, style="dim", highlight=False)
