"""Perplexity of a text read at once and decoded, as a table for the terminal and for Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

Record = Mapping[str, Any]


def layout(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """`(heads, rows)`: a row for each arm, a column for each way, and how far the ways are apart."""
    ways = list(dict.fromkeys(r["way"] for r in records))
    rows = []
    for arm in dict.fromkeys(r["arm"] for r in records):
        own = {r["way"]: r for r in records if r["arm"] == arm}
        apart = max(r["apart"] for r in own.values())
        rows.append([arm, *(f"{own[way]['perplexity']:.4f}" for way in ways), f"{apart:.2g}"])
    return ["arm", *ways, "largest difference of a token's NLL"], rows


def title(records: Sequence[Record]) -> str:
    return f"Perplexity of tokens {records[0]['band']}, read at once and decoded"


def decoding_report(records: Sequence[Record], protocol: str, command: str) -> str:
    """The table in Markdown, with its protocol and the command."""
    heads, rows = layout(records)
    lines = [" | ".join(heads), "|".join(["---"] + ["---:"] * (len(heads) - 1)), *(" | ".join(row) for row in rows)]
    table = "\n".join(f"| {line} |" for line in lines)
    return f"# {title(records)}\n\n{table}\n\n{protocol}\n\n    {command}\n"


def print_decoding(records: Sequence[Record], protocol: str) -> None:
    """The table on the terminal."""
    heads, rows = layout(records)
    shown = Table(*heads, title=title(records))
    for row in rows:
        shown.add_row(*row)
    Console().print(shown, protocol, sep="\n", highlight=False)
