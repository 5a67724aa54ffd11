"""Records of evaluations as tables, one an evaluation: arms down, lengths across.

What a value is follows from its evaluation: scores of questions are shares, with Wilson's interval; NLL of texts is
printed as perplexity; everything else as it is. Depths of a length are added up before.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ropelab.reporting.intervals import share
from ropelab.reporting.perplexity_table import number
from ropelab.reporting.runs import markdown

Record = Mapping[str, Any]
MORE, LESS, NEITHER = 1, -1, 0
TEXTS = ("perplexity", "longppl", "resolution", "attention", "heads", "summaries")


class Mean(NamedTuple):
    """A mean, and over how many things; None where there was nothing."""

    value: float | None
    over: int


class Kind(NamedTuple):
    """How an evaluation is printed, and which value of a column is the best.

    Attributes:
        title: of its table.
        text: of one value.
        better: `MORE`, `LESS`, or `NEITHER`.
    """

    title: str
    text: Callable[[Mean], str]
    better: int


def kind(name: str) -> Kind:
    """Of an evaluation by its name in the records."""
    evaluation, _, part = name.partition(".")
    if evaluation == "perplexity":
        what = {"nll": "", "nll_by_windows": ", mean of windows as YaRN's scripts take it"}
        return Kind(
            f"Perplexity{what.get(part, ', ' + part.replace('nll_', '').replace('_', ' ') + ' tokens')}", exp, LESS
        )
    if name == "longppl.nll":
        return Kind("LongPPL, perplexity of the key tokens", exp, LESS)
    if evaluation in TEXTS:
        better = MORE if evaluation == "summaries" else NEITHER
        return Kind(f"{evaluation}{', ' + part.replace('_', ' ') if part else ''}", plain, better)
    if part == "nll":
        return Kind(f"{evaluation}: nats a token of the expected answer", plain, LESS)
    return Kind(f"{evaluation}: score", share_with_interval, MORE)


def exp(mean: Mean) -> str:
    return "–" if mean.value is None else number(math.exp(mean.value))


def plain(mean: Mean) -> str:
    return "–" if mean.value is None else f"{mean.value:.4g}"


def share_with_interval(mean: Mean) -> str:
    if mean.value is None:
        return "–"
    low, high = share(mean.value * mean.over, mean.over)
    return f"{mean.value:.2f} [{low:.2f}, {high:.2f}]"


def by_length(records: Sequence[Record], name: str) -> dict[str, dict[int, Mean]]:
    """Arm → length → the mean over all depths."""
    found: dict[str, dict[int, Mean]] = {}
    for record in records:
        if record["eval"] == name:
            arm = found.setdefault(record["arm"], {})
            arm[record["length"]] = added(arm.get(record["length"], Mean(None, 0)), record)
    return found


def added(mean: Mean, record: Record) -> Mean:
    if record["value"] is None:
        return mean
    count = mean.over + record["count"]
    return Mean(((mean.value or 0.0) * mean.over + record["value"] * record["count"]) / count, count)


def best(values: Mapping[str, Mean], better: int) -> set[str]:
    """The arms with the best value of a column; all that share it, none if all do."""
    known = {arm: mean.value for arm, mean in values.items() if mean.value is not None}
    if better == NEITHER or len(set(known.values())) < 2:
        return set()
    top = max(known.values()) if better == MORE else min(known.values())
    return {arm for arm, value in known.items() if value == top}


def layout(records: Sequence[Record], name: str) -> tuple[list[int], dict[str, list[tuple[str, bool]]]]:
    """`(lengths, arm → cells)`, each cell a text and whether it is the best of its column."""
    arms, how = by_length(records, name), kind(name)
    lengths = sorted({length for values in arms.values() for length in values})
    tops = {n: best({arm: values.get(n, Mean(None, 0)) for arm, values in arms.items()}, how.better) for n in lengths}
    cells = {
        arm: [(how.text(values.get(n, Mean(None, 0))), arm in tops[n]) for n in lengths] for arm, values in arms.items()
    }
    return lengths, cells


def names(records: Sequence[Record]) -> list[str]:
    """The evaluations of some records, in order."""
    return list(dict.fromkeys(record["eval"] for record in records))


def markdown_table(records: Sequence[Record], name: str) -> str:
    lengths, cells = layout(records, name)
    lines = [[arm, *(f"**{text}**" if top else text for text, top in row)] for arm, row in cells.items()]
    return markdown(["arm", *map(str, lengths)], lines)


def print_tables(records: Sequence[Record], console: Console | None = None) -> None:
    """Every table in the terminal, the protocol under it."""
    console = console or Console()
    for name in names(records):
        lengths, cells = layout(records, name)
        table = Table(title=kind(name).title, title_justify="left")
        table.add_column("arm", overflow="fold", min_width=24)
        for length in lengths:
            table.add_column(str(length), justify="right")
        for arm, row in cells.items():
            table.add_row(arm, *(Text(text, style="bold" if top else "") for text, top in row))
        console.print(table)
        console.print(next(r["protocol"] for r in records if r["eval"] == name), style="dim", highlight=False)
