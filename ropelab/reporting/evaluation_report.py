"""The page of an evaluation: a table each, how long a context is used, heat maps, receipts, protocols."""

from collections.abc import Mapping, Sequence
from typing import Any

from ropelab.reporting.evaluation_table import Record, kind, markdown_table, names
from ropelab.reporting.runs import markdown
from ropelab.reporting.swap_report import receipt_table

EFFECTIVE_HEAD = ("arm", "questions", "k_max of PI", "YaRN, 80 %", "RULER, 85.6 %", "NoLiMa, 0.85 of base")


def effective_table(effective: Sequence[Sequence[str]]) -> list[str]:
    """How long a context is used, by four definitions; nothing without questions."""
    if not effective:
        return []
    return [
        "## Effective context",
        "Tokens. k_max is a distance from the end of the longest text, and asks for it and all shorter ones; the "
        "others are the longest length with such a score, over all depths.",
        markdown(list(EFFECTIVE_HEAD), [list(line) for line in effective]),
    ]


def evaluation_report(
    records: Sequence[Record],
    receipts: Mapping[str, Mapping[str, Any]],
    effective: Sequence[Sequence[str]],
    command: str,
    drawn: bool,
) -> str:
    """report.md.

    Args:
        effective: lines of `EFFECTIVE_HEAD`.
        drawn: whether there is a heat map.
    """
    parts = ["# Evaluation", "The best of each column in bold; scores with Wilson's 95 % interval."]
    for name in names(records):
        parts += [f"## {kind(name).title}", markdown_table(records, name), f"{protocol(records, name)}."]
    parts += effective_table(effective)
    if drawn:
        parts += ["## By depth and length", "![Score by depth and length](heatmap.png)"]
    parts += ["## What was applied", receipt_table(receipts)]
    parts += ["## Again", f"```\n{command}\n```\n\nAll records are in `records.jsonl` and `records.csv`."]
    return "\n\n".join(parts) + "\n"


def protocol(records: Sequence[Record], name: str) -> str:
    return next(record["protocol"] for record in records if record["eval"] == name)
