"""Numbers read off records, by variant, column and seed, each with the lines it comes from.

What a column is (a length, a step, a pattern) is the choice of each table.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ropelab.evaluation.record import Record
from ropelab.reporting.numbers import perplexity
from ropelab.reporting.run_files import ROWS, finished, names, read_rows, setting

Column = int | str
HELD_OUT = "held_out"  # the evaluation of a training's own records


class Number(NamedTuple):
    """A value, and the records that it was made of."""

    value: float
    sources: tuple[str, ...]


Readings = dict[str, dict[Column, dict[int, Number]]]  # variant → column → seed


def name_and_seed(run: str) -> tuple[str, int]:
    """Split the name of a run: `rope-2` is `rope` with seed 2; a name without a number has seed 0."""
    name, _, seed = run.rpartition("-")
    return (name, int(seed)) if name and seed.isdecimal() else (run, 0)


def read_training(folder: Path, root: Path) -> list[Record]:
    """Return the evaluations of a training as records: NLL on held-out text by step, pattern and length."""
    path = folder / "evaluations.jsonl"
    (variant, seed), place = name_and_seed(folder.name), path.relative_to(root).as_posix()
    return [
        Record(
            model=folder.name,
            variant=variant,
            pattern=row["pattern"],
            evaluation=HELD_OUT,
            metric="nll",
            length=row["length"],
            seed=seed,
            step=row["step"],
            value=row["nll"],
            count=row["tokens"],
            sources=(f"{place}:{number}",),
        )
        for number, row in enumerate(read_rows(path, ROWS["evaluations"]), 1)
    ]


def trainings(root: Path, family: str) -> list[Record]:
    """Return the evaluations of every finished training of a family, a folder of runs in `root`."""
    folders = [root / family / name for name in names(root / family)]
    return [record for folder in folders if finished(folder) for record in read_training(folder, root)]


def last_step(records: Sequence[Record]) -> list[Record]:
    """Return the records of the last step of each training."""
    last: dict[tuple[str, str], int] = {}
    for record in records:
        key = record.sources[0].rpartition("/")[0], record.model
        last[key] = max(last.get(key, 0), record.step or 0)
    return [r for r in records if r.step == last[r.sources[0].rpartition("/")[0], r.model]]


def steps_of(records: Sequence[Record]) -> str:
    """Return how long was trained, as "600 steps": the last step of every training."""
    return " or ".join(str(step) for step in sorted({record.step or 0 for record in last_step(records)})) + " steps"


def setting_of(root: Path, family: str, name: str) -> str:
    """Return a setting of the first training of a family, as its plan has it; "" if there is none."""
    for run in names(root / family):
        return setting(root / family / run, name)
    return ""


def as_perplexity(record: Record) -> float:
    """Return exp of a record's mean NLL."""
    return perplexity(record.mean)


def by_length(record: Record) -> Column:
    """Return the column of a table with a column per length."""
    return record.length


def read(
    records: Iterable[Record],
    column: Callable[[Record], Column] = by_length,
    *,
    value: Callable[[Record], float] = lambda record: record.mean,
    variant: Callable[[Record], str] = lambda record: record.variant,
) -> Readings:
    """Return the readings of records; of records for the same variant, column and seed the last one counts."""
    found: Readings = {}
    for record in records:
        number = Number(value(record), record.sources)
        found.setdefault(variant(record), {}).setdefault(column(record), {})[record.seed] = number
    return found


def seeds(readings: Readings) -> list[int]:
    """Return all seeds that anything was read with."""
    return sorted({seed for columns in readings.values() for numbers in columns.values() for seed in numbers})


def columns(readings: Readings, *variants: str) -> list[Column]:
    """Return all columns, of these variants or of all, in order."""
    own = [readings[one] for one in variants if one in readings] if variants else readings.values()
    return sorted({column for found in own for column in found}, key=lambda c: (isinstance(c, str), c))
