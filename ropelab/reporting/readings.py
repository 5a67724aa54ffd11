"""Numbers read off the records of trainings and evaluations, each with the line that it stands in.

A reading is a number by arm, column and seed; what a column is (a length, a step, a pattern) is the table's own choice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ropelab.reporting.runs import finished, names, read_rows, setting
from ropelab.reporting.schema import ROWS

Row = Mapping[str, Any]
Column = int | str


class Number(NamedTuple):
    """A value, and the records that it was made of."""

    value: float
    sources: tuple[str, ...]


Readings = dict[str, dict[Column, dict[int, Number]]]  # arm → column → seed


def lines(path: Path, root: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines, each with its `source`, file and line; none if there is no file."""
    place = path.relative_to(root).as_posix()
    return [
        row | {"source": f"{place}:{number}"} for number, row in enumerate(read_rows(path, ROWS.get(path.stem, {})), 1)
    ]


def arm_and_seed(name: str) -> tuple[str, int]:
    """`rope-2` is the arm `rope` with seed 2; a name without a number is an arm with seed 0."""
    arm, _, seed = name.rpartition("-")
    return (arm, int(seed)) if arm and seed.isdecimal() else (name, 0)


def trainings(root: Path, family: str) -> list[dict[str, Any]]:
    """The evaluations of every finished training of a family, a folder of runs in `root`.

    Rows have besides their own fields `arm`, `seed`, `source`, and `last`, whether they are of the last step.
    """
    found = []
    for name in names(root / family):
        folder = root / family / name
        if not finished(folder):
            continue
        rows, (arm, seed) = lines(folder / "evaluations.jsonl", root), arm_and_seed(name)
        found += [row | {"arm": arm, "seed": seed, "last": row["step"] == rows[-1]["step"]} for row in rows]
    return found


def steps_of(measured: Sequence[Row]) -> str:
    """How long was trained: "600 steps", the last that was measured, of every training."""
    return " or ".join(str(step) for step in sorted({row["step"] for row in measured if row["last"]})) + " steps"


def setting_of(root: Path, family: str, name: str) -> str:
    """What the first training of a family was asked to do, as its plan has it; "" if there is none."""
    for run in names(root / family):
        return setting(root / family / run, name)
    return ""


def read(
    rows: Iterable[Row],
    column: Callable[[Row], Column],
    *,
    value: Callable[[Row], float],
    arm: Callable[[Row], str] = lambda row: row["arm"],
) -> Readings:
    """Readings of rows; of rows for the same arm, column and seed the last one counts."""
    found: Readings = {}
    for row in rows:
        number = Number(value(row), (row["source"],))
        found.setdefault(arm(row), {}).setdefault(column(row), {})[row["seed"]] = number
    return found


def seeds(readings: Readings) -> list[int]:
    """All seeds that anything was read with."""
    return sorted({seed for columns in readings.values() for numbers in columns.values() for seed in numbers})


def columns(readings: Readings, *arms: str) -> list[Column]:
    """All columns, of these arms or of all, in order."""
    own = [readings[arm] for arm in arms if arm in readings] if arms else readings.values()
    return sorted({column for found in own for column in found}, key=lambda c: (isinstance(c, str), c))
