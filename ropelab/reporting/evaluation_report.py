"""The page of an evaluation: a table each, how long a context is used, heat maps, receipts, protocols."""

from collections.abc import Mapping, Sequence
from typing import Any

from ropelab.reporting.evaluation_table import Record, markdown_table, sheets
from ropelab.reporting.runs import markdown
from ropelab.reporting.swap_report import receipt_table

EFFECTIVE_HEAD = ("arm", "questions", "k_max of PI", "YaRN, 80 %", "RULER, 85.6 %", "NoLiMa, 0.85 of base")
EFFECTIVE_NOTE = (
    "Tokens. k_max is a distance from the end of the longest text, and asks for it and all shorter ones; the others "
    "are the longest length with such a score, over all depths."
)


def effective_table(effective: Sequence[Sequence[str]]) -> list[str]:
    """How long a context is used, by four definitions; nothing without questions."""
    if not effective:
        return []
    return [
        "## Effective context",
        EFFECTIVE_NOTE,
        markdown(list(EFFECTIVE_HEAD), [list(line) for line in effective]),
    ]


def evaluation_report(
    totals: Sequence[Record],
    grids: Sequence[str],
    receipts: Mapping[str, Mapping[str, Any]],
    effective: Sequence[Sequence[str]],
    command: str,
    figures: Mapping[str, str],
) -> str:
    """report.md.

    Args:
        totals: records, the depths of a length added up.
        grids: sections of what is asked at many distances.
        effective: lines of `EFFECTIVE_HEAD`.
        figures: titles by the names of their files.
    """
    parts = [
        "# Evaluation",
        "The best of each column in bold where no other interval overlaps its own; scores with Wilson's 95 % interval, "
        "others ± the half-width of the 95 % t interval where several texts were measured.",
    ]
    for sheet in sheets(totals):
        parts += [f"## {sheet.title}", markdown_table(sheet), "\n\n".join(f"{note}." for note in sheet.notes)]
    parts += [*effective_table(effective), *grids]
    for file, title in figures.items():
        parts += [f"## {title}", f"![{title}]({file}.png)"]
    parts += ["## What was applied", receipt_table(receipts)]
    parts += ["## Again", f"```\n{command}\n```\n\nAll records are in `records.jsonl` and `records.csv`."]
    return "\n\n".join(parts) + "\n"
