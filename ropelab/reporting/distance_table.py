"""Scores by distance from the end of a text: what k_max is read off, and where a hole is seen."""

from collections.abc import Mapping, Sequence
from typing import Any

from ropelab.reporting.runs import markdown

Record = Mapping[str, Any]
MANY = 8  # depths of a length from which on they are a grid of distances


def distance_tables(records: Sequence[Record]) -> dict[str, tuple[list[str], list[list[str]]]]:
    """By title, `(head, lines)`: distances down, arms across, of each evaluation that is asked at many places."""
    found: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        if record["depth"] is not None and "." not in record["eval"]:
            found.setdefault((record["eval"], record["length"]), []).append(record)
    tables = {}
    for (name, length), own in found.items():
        distances = sorted({distance(record) for record in own})
        if len(distances) < MANY:
            continue
        arms = list(dict.fromkeys(record["arm"] for record in own))
        score = {(record["arm"], distance(record)): record["value"] for record in own}
        lines = [[str(k), *(cell(score.get((arm, k))) for arm in arms)] for k in distances]
        tables[f"{name} at {length}, by distance from the end"] = (["tokens", *arms], lines)
    return tables


def distance(record: Record) -> int:
    """Tokens from the end of the text."""
    return round((1 - record["depth"]) * record["length"])


def cell(score: float | None) -> str:
    return "–" if score is None else f"{score:.2f}"


def distance_sections(records: Sequence[Record]) -> list[str]:
    """Headings and tables for a page."""
    return [part for title, table in distance_tables(records).items() for part in (f"### {title}", markdown(*table))]
