"""Pattern × encoding × kernel as tables: how far each lies from the formula written out, in units of what is allowed.

A crossing is a record of one encoding, one pattern and one dtype, kept as a line of JSON:

    {"encoding": "ALiBi()", "pattern": "Causal()", "dtype": "float32", "jax": "0.10.2", "errors": {"dense": 3e-07}, ...}

`errors` has the largest difference for each way of computing; `raised`, where nothing could be computed, says why.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

BOUNDS = {"float64": 1e-10, "float32": 2e-5}
Crossing = Mapping[str, Any]
Worst = dict[tuple[str, str], Crossing]


def append(path: Path, crossing: Crossing) -> None:
    """One line more, written out at once; a line that an interruption left unfinished is closed first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            file.write(b"" if file.read() == b"\n" else b"\n")
        file.write(json.dumps(crossing).encode() + b"\n")


def read(path: Path) -> list[Crossing]:
    """The crossings of a file that `append` wrote, without lines that were left unfinished; none if it is not there."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def largest(crossing: Crossing) -> float:
    """The worst of the ways, in units of the bound of the dtype; inf if it raised, or if something was not finite."""
    if crossing["raised"] or not all(map(math.isfinite, crossing["errors"].values())):
        return math.inf
    return max(crossing["errors"].values()) / BOUNDS[crossing["dtype"]]


def by_class(crossings: Sequence[Crossing]) -> tuple[list[str], list[str], Worst]:
    """Classes of encodings, patterns, and the worst crossing of each pair of them that was tried."""
    worst: Worst = {}
    for crossing in crossings:
        pair = crossing["encoding"].split("(")[0], crossing["pattern"]
        worst[pair] = max(worst.get(pair, crossing), crossing, key=largest)
    return list(dict.fromkeys(e for e, _ in worst)), list(dict.fromkeys(p for _, p in worst)), worst


def by_way(crossings: Sequence[Crossing]) -> Iterator[tuple[str, str, float, int, Crossing]]:
    """For each way and dtype: its largest difference, of how many crossings, and in which of them."""
    pairs = dict.fromkeys((way, c["dtype"]) for c in crossings for way in c["errors"])
    for way, dtype in sorted(pairs, key=lambda pair: list(BOUNDS).index(pair[1])):
        tried = [c for c in crossings if c["dtype"] == dtype and way in c["errors"]]
        worst = max(tried, key=lambda c: c["errors"][way])
        yield way, dtype, worst["errors"][way], len(tried), worst


def cell(worst: Worst, pair: tuple[str, str]) -> str:
    """What a cell says: a part of the bound, how often it is exceeded, or a dot for what was not tried."""
    if pair not in worst:
        return "·"
    value = largest(worst[pair])
    if value <= 1:
        return f"{value:.2f}" if value >= 0.005 else "<.01"
    return f"✗ {value:.1e}"


def style(text: str) -> str:
    return "bold red" if text.startswith("✗") else "dim" if text == "·" else "green"


def failures(crossings: Sequence[Crossing]) -> list[str]:
    """What exceeds its bound, in words."""
    return [
        f"{c['encoding']} × {c['pattern']}, {c['dtype']}: "
        + (c["raised"] or ", ".join(f"{way} {error:.1e}" for way, error in c["errors"].items()))
        for c in crossings
        if largest(c) > 1
    ]


def print_cross(crossings: Sequence[Crossing], console: Console | None = None) -> None:
    """Classes of encodings against patterns, which are numbered and named below; then each way by itself."""
    console = console or Console()
    encodings, patterns, worst = by_class(crossings)
    table = Table("encoding", box=None, padding=(0, 1, 0, 0))
    for n, _ in enumerate(patterns, 1):
        table.add_column(str(n), no_wrap=True, justify="right")
    for name in encodings:
        cells = (cell(worst, (name, pattern)) for pattern in patterns)
        table.add_row(name, *(Text(text, style=style(text)) for text in cells))
    console.print(table)
    for n, pattern in enumerate(patterns, 1):
        console.print(Text(f"{n:>2}  {pattern}"), soft_wrap=True)
    ways = Table("way", "dtype", "largest", "bound", "tried", "where")
    for way, dtype, value, count, at in by_way(crossings):
        ways.add_row(
            way, dtype, f"{value:.1e}", f"{BOUNDS[dtype]:.0e}", str(count), f"{at['encoding']} × {at['pattern']}"
        )
    console.print(ways)
    for words in failures(crossings):
        console.print(Text(words, style="bold red"), soft_wrap=True)
    console.print(Text(summary(crossings)), soft_wrap=True)


def summary(crossings: Sequence[Crossing]) -> str:
    failed = len(failures(crossings))
    return f"{failed} of {len(crossings)} exceed it" if failed else f"all {len(crossings)} are within the bound"


def markdown(crossings: Sequence[Crossing], *, total: int, made_by: str) -> str:
    """The tables as a page.

    Args:
        total: how many crossings there are when all are measured.
        made_by: the command that writes the page, and what it ran on.
    """
    encodings, patterns, worst = by_class(crossings)
    missing = "" if len(crossings) >= total else f" {total - len(crossings)} of {total} are still to be measured (·)."
    lines = [
        "# Encoding × pattern × kernel",
        "",
        f"Written by {made_by}.{missing}",
        "",
        "Each cell is the largest difference, forward and in every gradient, from the one formula written out over the "
        "whole square, in units of what is allowed: " + ", ".join(f"{b:.0e} in {d}" for d, b in BOUNDS.items()) + ". "
        "It is the worst of the ways to compute it, of the dtypes and of the examples of the class. ✗ exceeds it.",
        "",
        "| | " + " | ".join(str(n) for n, _ in enumerate(patterns, 1)) + " |",
        "|---|" + "---:|" * len(patterns),
        *(f"| {e} | " + " | ".join(cell(worst, (e, p)) for p in patterns) + " |" for e in encodings),
        "",
        *(f"{n}. `{pattern}`" for n, pattern in enumerate(patterns, 1)),
        "",
        "## Each way by itself",
        "",
        "| way | dtype | largest | bound | tried | where |",
        "|---|---|---:|---:|---:|---|",
    ]
    for way, dtype, value, count, at in by_way(crossings):
        where = f"`{at['encoding']}` × `{at['pattern']}`"
        lines.append(f"| {way} | {dtype} | {value:.1e} | {BOUNDS[dtype]:.0e} | {count} | {where} |")
    lines += ["", f"{summary(crossings)}.".capitalize(), *(f"- {words}" for words in failures(crossings))]
    lines += ["", "## What was tried", "", *(f"- `{e}`" for e in dict.fromkeys(c["encoding"] for c in crossings)), ""]
    return "\n".join(lines)
