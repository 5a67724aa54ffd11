"""Records of perplexity by arm, length and band, as a table for the terminal and for Markdown."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ropelab.reporting.page_markdown import inline

Record = Mapping[str, Any]


def is_chopped(arm: str) -> bool:
    """Whether a variant is the unchanged model on chopped text."""
    return arm.startswith("unchanged, chopped at")


class Cell(NamedTuple):
    """One perplexity, and whether it is the lowest of its column."""

    text: str
    best: bool


class Column(NamedTuple):
    """One length and one band of it."""

    length: int
    band: str


def by_length(records: Sequence[Record]) -> list[Column]:
    """Each length as a whole, and its end."""
    seen = dict.fromkeys(Column(int(r["length"]), r["band"]) for r in records)
    return sorted(c for c in seen if c.band == "all" or c.band.startswith("last"))


def by_band(records: Sequence[Record]) -> list[Column]:
    """The bands of the longest length."""
    longest = max(int(r["length"]) for r in records)
    seen = dict.fromkeys(Column(longest, r["band"]) for r in records if int(r["length"]) == longest)
    return [c for c in seen if c.band.startswith("[")]


def layout(records: Sequence[Record], shown: Sequence[Column]) -> dict[str, list[Cell]]:
    """Each arm's cells in the order of the columns; the lowest of each column is marked."""
    value = {(r["arm"], Column(int(r["length"]), r["band"])): float(r["perplexity"]) for r in records}
    arms = list(dict.fromkeys(r["arm"] for r in records))
    lowest = {
        column: min(filter(math.isfinite, (value[arm, column] for arm in arms)), default=None) for column in shown
    }
    return {arm: [Cell(number(value[arm, c]), value[arm, c] == lowest[c]) for c in shown] for arm in arms}


def number(value: float) -> str:
    """Four significant digits, and powers of ten for what has broken down."""
    return f"{value:.4g}" if value < 1e4 else f"{value:.1e}"


def print_tables(records: Sequence[Record], protocol: str, console: Console | None = None) -> None:
    """Both tables in the terminal, the protocol under them."""
    console = console or Console()
    for title, shown in (("by length", by_length(records)), ("by position, longest length", by_band(records))):
        if not shown:
            continue
        table = Table(title=f"Perplexity {title} (lowest of each column in bold)", title_justify="left")
        table.add_column("arm", overflow="fold", min_width=24)
        for column in shown:
            table.add_column(heading(column), justify="right", no_wrap=True)
        for arm, row in layout(records, shown).items():
            table.add_row(Text(arm), *(Text(cell.text, style="bold" if cell.best else "") for cell in row))
        console.print(table)
    console.print(Text(protocol, style="dim"))


def heading(column: Column) -> str:
    """`12288 last 1024`, or a band's two ends, on two lines."""
    if column.band.startswith("["):
        return column.band.replace(", ", ",\n")
    return f"{column.length}\n{column.band}"


def markdown(records: Sequence[Record], shown: Sequence[Column]) -> str:
    """One of the tables in Markdown."""
    lines = [
        "| arm | " + " | ".join(inline(heading(c).replace("\n", " ")) for c in shown) + " |",
        "|---|" + "---:|" * len(shown),
    ]
    for arm, row in layout(records, shown).items():
        marked = (f"**{cell.text}**" if cell.best else cell.text for cell in row)
        lines.append(f"| {inline(arm)} | " + " | ".join(marked) + " |")
    return "\n".join(lines)
