"""Tables of records: what a number is printed as, which is the best of its column, and where each came from.

A table is one value (`page.Table`) however it is shown: `print_table` writes it to a terminal, `page_markdown` as
Markdown, `page_html` as HTML, `page_data` as CSV and Parquet. A cell pools the records of one variant and one column
(`record.aggregate`). Its text follows from the metric: shares have Wilson's interval, NLL is printed as perplexity, and
everything else as it is, with Student's interval where the deviation is known. The best of a column is marked where the
intervals of the others do not overlap its own. Numbers of single heads are left to figures.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ropelab.evaluation import intervals
from ropelab.evaluation.record import Record, aggregate
from ropelab.reporting.numbers import perplexity
from ropelab.reporting.page import Cell, Table, code, interval, uncoded

BY_POSITION, DECODING = "perplexity_by_position", "decoding"
SCORES, NATS = "Scores", "Nats per token of the expected answer"
RESOLUTIONS = {
    "expected": "expected, q = k = 1",
    "measured": "measured, mean of layers and heads",
    "median_head": "measured, median head",
}
MANY_DEPTHS = 8  # depths of one length from which on they are a grid of distances
WIDE = 200  # columns where there is no terminal: rich would cut a table at 80


class Format(NamedTuple):
    """How a metric is printed, and which value of a column is the best.

    Attributes:
        title: of its table.
        text: of one pooled record.
        better: "more", "less", or None.
        unit: what its values are means of.
        family: of metrics that share a table.
    """

    title: str
    text: Callable[[Record], str]
    better: Literal["more", "less"] | None
    unit: str
    family: str = ""


def format_of(record: Record) -> Format:
    """Return the format of a record's metric."""
    evaluation, metric = record.evaluation, record.metric
    if evaluation in ("perplexity", BY_POSITION):
        what = {"nll": "", "nll_by_windows": ", mean of windows as YaRN's scripts take it"}
        tail = f", last {(record.last or 0) - (record.first or 0)} tokens"
        unit = "windows" if metric == "nll_by_windows" else "tokens scored"
        return Format(f"Perplexity{what.get(metric, tail)}", _perplexity, "less", unit)
    if evaluation == "longppl":
        if metric == "nll":
            return Format("LongPPL, perplexity of the key tokens", _perplexity, "less", "key tokens")
        return Format("LongPPL, share of key tokens", _plain, None, "tokens judged")
    if evaluation == "resolution" and metric in RESOLUTIONS:
        return Format(f"Attention resolution by length, {RESOLUTIONS[metric]}", _fixed, None, "curves")
    if metric == "score":
        return Format(f"{evaluation}: score", _share, "more", "questions", SCORES)
    if metric == "token":
        return Format(f"{evaluation}: score by token", _share, "more", "tokens asked for", f"{SCORES} by token")
    if metric == "nll":
        return Format(f"{evaluation}: nats per token of the expected answer", _plain, "less", "questions", NATS)
    title = evaluation if metric == evaluation else f"{evaluation}, {metric.replace('_', ' ')}"
    return Format(title, _plain, "more" if evaluation == "summaries" else None, "texts")


def format_perplexity(value: float) -> str:
    """Return four significant digits, and a power of ten for a model that has broken down."""
    return f"{value:.4g}" if value < 1e4 or not math.isfinite(value) else f"{value:.1e}"


def _perplexity(record: Record) -> str:
    return "–" if record.value is None else format_perplexity(perplexity(record.value))


def _plain(record: Record) -> str:
    if record.value is None:
        return "–"
    known = record.deviation is not None and record.count > 1
    half = f" ± {intervals.half_width(record.deviation or 0.0, record.count):.2g}" if known else ""
    return f"{record.value:.4g}{half}"


def _fixed(record: Record) -> str:
    return "–" if record.value is None else f"{record.value:.4f}"


def _share(record: Record) -> str:
    if record.value is None:
        return "–"
    low, high = intervals.wilson_interval(record.value * record.count, record.count)
    return f"{record.value:.2f} [{low:.2f}, {high:.2f}]"


def interval_of(record: Record) -> intervals.Interval:
    """Return the interval of a value as it is printed; perplexities have none."""
    how, value = format_of(record), record.mean
    if how.text is _share and math.isfinite(value):
        return intervals.Interval(value, *intervals.wilson_interval(value * record.count, record.count))
    known = how.text is _plain and record.deviation is not None and record.count > 1
    half = intervals.half_width(record.deviation or 0.0, record.count) if known else 0.0
    return intervals.Interval(value, value - half, value + half)


def best_of(column: Mapping[str, Record]) -> set[str]:
    """Return the variants with the best value of a column; none where intervals overlap or all share it."""
    better = format_of(next(iter(column.values()))).better if column else None
    if better is None:
        return set()
    known = {name: interval_of(record) for name, record in column.items()}
    return intervals.clear_best(known, max if better == "more" else min)


Column = tuple[int, str, int | None]  # length, metric, and first position of a band


def pivot(
    records: Sequence[Record], column: Callable[[Record], Column]
) -> tuple[list[Column], dict[str, dict[Column, Record]]]:
    """Pool records by variant and column; return the columns in order, and variant → column → record."""
    cells: dict[str, dict[Column, list[Record]]] = {}
    for record in records:
        cells.setdefault(record.variant, {}).setdefault(column(record), []).append(record)
    pooled = {
        variant: {at: aggregate(own, by=("variant", "evaluation", "metric", "length"))[0] for at, own in by.items()}
        for variant, by in cells.items()
    }
    columns = sorted({at for by in cells.values() for at in by}, key=lambda at: (at[0], at[1], at[2] or 0))
    return columns, pooled


def make_table(
    title: str,
    records: Sequence[Record],
    *,
    column: Callable[[Record], Column] = lambda record: (record.length, "", None),
    heading: Callable[[Column], str] = lambda at: str(at[0]),
    note: str = "",
) -> Table:
    """Return the table of one metric: variants down, columns across."""
    columns, pooled = pivot(records, column)
    best = {at: best_of({name: by[at] for name, by in pooled.items() if at in by}) for at in columns}
    rows = [
        [Cell(code(name)), *(make_cell(by.get(at), name in best[at]) for at in columns)] for name, by in pooled.items()
    ]
    return Table(title, ["variant", *map(heading, columns)], rows, note)


def make_cell(record: Record | None, best: bool = False) -> Cell:
    """Return the cell of a pooled record, a dash for none."""
    if record is None:
        return Cell("–")
    return Cell(format_of(record).text(record), record.value, None, best, record.sources)


def evaluation_tables(records: Sequence[Record]) -> list[Table]:
    """Return a table per metric, lengths across, depths and seeds pooled; the scores of questions share one."""
    groups: dict[str, dict[tuple, list[Record]]] = {}
    for record in records:
        if record.layer is None and record.evaluation not in (BY_POSITION, DECODING):
            how = format_of(record)
            key = (record.evaluation, record.metric, how.title)
            groups.setdefault(how.family or how.title, {}).setdefault(key, []).append(record)
    return [_family_table(family, list(group.values())) for family, group in groups.items()]


def _family_table(family: str, groups: Sequence[Sequence[Record]]) -> Table:
    if len(groups) == 1:
        return make_table(format_of(groups[0][0]).title, groups[0], note=describe(groups[0]))
    lengths = sorted({record.length for group in groups for record in group})
    rows = []
    for group in groups:
        table = make_table("", group)
        for variant, *cells in table.rows:
            at = dict(zip(table.head[1:], cells, strict=True))
            rows.append([Cell(group[0].evaluation), variant, *(at.get(str(n), Cell("")) for n in lengths)])
    notes = [f"{group[0].evaluation}: {describe(group)}" for group in groups]
    return Table(family, ["evaluation", "variant", *map(str, lengths)], rows, "\n".join(notes))


def describe(records: Sequence[Record]) -> str:
    """Return the protocol of some records, and how many values each length has."""
    counts: dict[tuple[int, str], int] = {}
    for record in records:
        counts[record.length, record.variant] = counts.get((record.length, record.variant), 0) + record.count
    by = {
        n: sorted({count for (length, _), count in counts.items() if length == n})
        for n in sorted({n for n, _ in counts})
    }
    over = ", ".join(f"{' or '.join(map(str, found))} at {n}" for n, found in by.items())
    seeds = sorted({record.seed for record in records})
    named = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return f"{records[0].protocol.line()}; {named}; {format_of(records[0]).unit}: {over}."


def position_tables(records: Sequence[Record]) -> list[Table]:
    """Return perplexity by length, with the tail of each, and by band of the longest length."""
    own = [r for r in records if r.evaluation == BY_POSITION and r.metric in ("nll", "nll_tail")]
    longest = max((record.length for record in own), default=0)
    whole = [record for record in own if record.metric == "nll_tail" or record.first is None]
    bands = [r for r in own if r.metric == "nll" and r.first is not None and r.length == longest]
    tails = {r.length: (r.last or 0) - (r.first or 0) for r in whole if r.metric == "nll_tail"}
    ends = {record.first: record.last for record in bands}

    def by_length(at: Column) -> str:
        return f"{at[0]}\n{f'last {tails[at[0]]}' if at[1] == 'nll_tail' else 'all'}"

    note = own[0].protocol.line() if own else ""
    tables = [
        make_table("Perplexity by length", whole, column=_metric_column, heading=by_length, note=note),
        make_table(
            "Perplexity by position, longest length",
            bands,
            column=lambda record: (record.length, record.metric, record.first),
            heading=lambda at: f"[{at[2]},\n{ends[at[2]]})",
            note=note,
        ),
    ]
    return [table for table in tables if table.rows]


def _metric_column(record: Record) -> Column:
    return record.length, record.metric, None


def distance_tables(records: Sequence[Record]) -> list[Table]:
    """Return scores by distance from the end of the text, variants across, of evaluations with many depths."""
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        if record.depth is not None and record.metric == "score":
            groups.setdefault((record.evaluation, record.length), []).append(record)
    tables = []
    for (name, length), own in groups.items():
        distances = sorted({record.distance for record in own})
        if len(distances) < MANY_DEPTHS:
            continue
        variants = list(dict.fromkeys(record.variant for record in own))
        pooled = {(one.variant, one.distance): one for one in aggregate(own, by=("variant", "length", "depth"))}
        rows = [[Cell(str(k)), *(_distance_cell(pooled.get((variant, k))) for variant in variants)] for k in distances]
        title = f"{name} at {length}, by distance from the end"
        tables.append(Table(title, ["tokens", *map(code, variants)], rows))
    return tables


def _distance_cell(record: Record | None) -> Cell:
    if record is None or record.value is None:
        return Cell("–")
    return Cell(f"{record.value:.2f}", record.value, None, False, record.sources)


def decoding_table(records: Sequence[Record]) -> Table:
    """Return perplexity of a full forward pass and decoded, and the largest difference of a token's NLL."""
    own = [record for record in records if record.evaluation == DECODING]
    values = {(record.variant, record.metric): record for record in own}
    rows = []
    for variant in dict.fromkeys(record.variant for record in own):
        cells = [values[variant, metric] for metric in ("nll_full", "nll_decoded")]
        texts = [Cell(f"{perplexity(one.mean):.4f}", perplexity(one.mean), sources=one.sources) for one in cells]
        apart = values[variant, "largest_difference"]
        rows.append([Cell(code(variant)), *texts, Cell(f"{apart.mean:.2g}", apart.value, sources=apart.sources)])
    title = f"Perplexity of tokens [{own[0].first}, {own[0].last}), read at once and decoded"
    head = ["variant", "full forward", "decoded", "largest difference of a token's NLL"]
    return Table(title, head, rows, own[0].protocol.line())


def print_table(table: Table, console: Console | None = None, *, remark: str = "") -> None:
    """Write a table to the terminal, its note under it; in a file or a pipe as wide as the table is.

    Args:
        remark: follows the title.
    """
    console = console or Console()
    console = console if console.is_terminal or console.record else Console(file=console.file, width=WIDE)
    shown = RichTable()
    for index, name in enumerate(table.head):
        texts = [row[index].text for row in table.rows if row[index].text]
        numeric = index > 0 and all(map(_NUMBER.match, texts))
        shown.add_column(
            uncoded(name),
            overflow="fold",
            justify="right" if numeric else "left",
            no_wrap=numeric,
            min_width=_width(index, name, texts),
        )
    for row in table.rows:
        shown.add_row(*(Text(_shown(cell), style="bold" if cell.best else "") for cell in row))
    console.print(Text(f"{uncoded(table.title)}{remark}", style="italic"))
    console.print(shown)
    for line in table.note.splitlines():
        console.print(Text(line, style="dim"))


def _width(index: int, name: str, texts: Iterable[str]) -> int | None:
    return min(24, max(map(len, (name, *texts)))) if index == 0 else None


def _shown(cell: Cell) -> str:
    return f"{uncoded(cell.text)} {interval(cell)}".strip()


_NUMBER = re.compile(r"[*✓✗<>~ ]*[-−+]?(\d|∞|inf\b|nan\b|–|\.\d)")  # how a cell with a number begins


def markdown_grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table: the first column and those of text to the left, those of numbers to the right."""
    columns = [[cells[n] for cells in rows if n < len(cells) and cells[n]] for n in range(len(head))]
    rule = ["---:" if n and all(map(_NUMBER.match, cells)) else "---" for n, cells in enumerate(columns)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))
