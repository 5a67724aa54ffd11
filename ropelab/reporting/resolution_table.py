"""Attention resolution by encoding and length, as a table for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Record = Mapping[str, Any]


def layout(records: Sequence[Record], scores: str) -> tuple[list[str], list[list[str]]]:
    """`(heads, rows)`: a row for each encoding, a column for each length, of one way of getting the scores."""
    own = [r for r in records if r["scores"] == scores]
    lengths = sorted({int(r["length"]) for r in own})
    value = {(r["encoding"], int(r["length"])): float(r["resolution"]) for r in own}
    rows = [
        [encoding, *(f"{value[encoding, T]:.4f}" for T in lengths)]
        for encoding in dict.fromkeys(r["encoding"] for r in own)
    ]
    return ["encoding", *map(str, lengths)], rows


def print_resolutions(records: Sequence[Record], protocol: str, console: Console | None = None) -> None:
    """A table for each way of getting the scores, the protocol under them."""
    console = console or Console()
    for scores in dict.fromkeys(r["scores"] for r in records):
        (first, *lengths), rows = layout(records, scores)
        table = Table()
        table.add_column(first, overflow="fold", min_width=16)
        for length in lengths:
            table.add_column(length, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(Text(f"Attention resolution by length, {scores}", style="italic"))
        console.print(table)
    console.print(Text(protocol, style="dim"))
