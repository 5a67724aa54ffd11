"""Read the trainings of this folder's config.py for the tables of YaRN, PI and LongLoRA."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ropelab.evaluation.record import Record
from ropelab.reporting.readings import Readings, as_perplexity, last_step, read, steps_of, trainings
from ropelab.reporting.run_files import names, settings

_FAMILY = "bytes"


class Extended(NamedTuple):
    """`trained` is the length that the base was trained on; `rows` are all evaluations under full attention."""

    trained: int
    rows: Sequence[Record]

    def last(self) -> Readings:
        """By length, after the last step."""
        return read(last_step(self.rows), value=as_perplexity)

    def by_step(self, length: int) -> Readings:
        """By step, at one length."""
        rows = [row for row in self.rows if row.length == length]
        return read(rows, lambda row: row.step or 0, value=as_perplexity)

    def note(self) -> str:
        tokens = max((row.count for row in self.rows), default=0)
        base = [row for row in self.rows if row.variant == "base"]
        others = [row for row in self.rows if row.variant != "base"]
        made = f"The base was trained on {self.trained} tokens{f', {steps_of(base)}' if base else ''}"
        return (
            f"{made}, and extended in {steps_of(others)}. Perplexity per token of {tokens} held-out tokens in "
            "windows that do not overlap, full attention. Mean over seeds ± the half-width of the 95 % t interval."
        )


def read_extended(root: Path) -> Extended:
    rows = [row for row in trainings(root, _FAMILY) if row.pattern == "Causal()"]
    return Extended(trained_length(root), rows)


def trained_length(root: Path) -> int:
    """The smallest length any of them was trained on, halved if no base is among them; 0 without trainings."""
    plans = {name: settings(root / _FAMILY / name) for name in names(root / _FAMILY)}
    bases = [int(plan["length"]) for name, plan in plans.items() if name.startswith("base")]
    others = [int(plan["length"]) // 2 for name, plan in plans.items() if name.rpartition("-")[0].endswith("2")]
    others += [int(plan["length"]) // 4 for name, plan in plans.items() if name.rpartition("-")[0].endswith("4")]
    return (bases or others or [0])[0]
