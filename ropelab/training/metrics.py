"""What a run writes down as it goes: one table a kind of row, each as CSV and as JSON lines, and TensorBoard.

    metrics        step, loss, ...: every step, and the same to the last bit however often the run was interrupted
    evaluations    step, pattern, length, nll, perplexity, tokens
    speed          step, seconds, tokens per second, MFU, peak memory: of this machine, at this hour
    skipped        step, loss, gradient's norm and digest of every batch that the guard left out

A run that goes on from a checkpoint first drops the rows after it. The rows up to it must be there: a table of which
some are lost is not written anew.
"""

import contextlib
import csv
import io
import json
import math
from typing import Any

from etils import epath

from ropelab.training.lines import Lines, Nothing

TABLES = {
    "metrics": ("step", "loss", "grad_norm", "lr", "tokens", "skipped"),
    "evaluations": ("step", "pattern", "length", "nll", "perplexity", "tokens"),
    "speed": ("step", "seconds", "tokens_per_second", "mfu", "peak_memory_gib"),
    "skipped": ("step", "loss", "grad_norm", "batch"),
}
Row = dict[str, Any]


class Records:
    """The tables of a run in its folder, begun or gone on with after step `up_to`.

    Raises:
        ValueError: if a table has lost rows up to that step, or has what is none; nothing is written then.
    """

    def __init__(self, folder: epath.Path, *, up_to: int, writes: bool = True):
        self._tables: dict[str, tuple[Lines, Lines]] = {}
        self._board: Any = None
        kept = {name: rows_up_to(folder, name, up_to) for name in TABLES} if writes else {}
        for name, columns in TABLES.items():
            if not writes:
                self._tables[name] = (Nothing(), Nothing())
                continue
            rows = kept[name]
            table = as_csv(columns) + "".join(as_csv(row.values()) for row in rows)
            lines = "".join(as_json(row) for row in rows)
            self._tables[name] = Lines(folder / f"{name}.csv", table), Lines(folder / f"{name}.jsonl", lines)
        if writes:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=up_to + 1, max_queue=1000)

    def add(self, name: str, row: Row) -> None:
        """Write down a row of a table, which has that table's columns in their order."""
        if tuple(row) != TABLES[name]:
            raise ValueError(f"a row of {name} has {', '.join(TABLES[name])}; this one has {', '.join(row)}")
        table, lines = self._tables[name]
        table.add(as_csv(row.values()))
        lines.add(as_json(row))
        if self._board is not None:
            for tag, value in scalars(name, row):
                self._board.add_scalar(tag, value, row["step"])

    def sync(self) -> None:
        """Have all rows where a checkpoint can count on them."""
        for pair in self._tables.values():
            for lines in pair:
                lines.sync()
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        for pair in self._tables.values():
            for lines in pair:
                lines.close()
        if self._board is not None:
            self._board.close()


def rows_up_to(folder: epath.Path, name: str, step: int) -> list[Row]:
    """The rows of a table up to a step.

    Raises:
        ValueError: if the CSV, or what follows a damaged line, has more of them: they would be lost.
    """
    path = folder / f"{name}.jsonl"
    rows = []
    for number, row in enumerate(rows_of(path), 1):
        if tuple(row) != TABLES[name] or not is_row(row):
            raise ValueError(
                f"{path}:{number} is no row of {', '.join(TABLES[name])}: {str(row)[:80]}; bring the file back"
            )
        rows += [row] if row["step"] <= step else []
    there = max(steps_of_lines(path, step), steps_of_csv(folder / f"{name}.csv", step))
    if there > len(rows):
        raise ValueError(
            f"{path} has {len(rows)} whole rows up to step {step}, and {there} were written; bring it back, or move "
            f"{name}.jsonl and {name}.csv away to go on without them"
        )
    return rows


def rows_of(path: epath.Path) -> list[Row]:
    """The rows of a table of JSON lines, up to the first that was cut short.

    Raises:
        ValueError: for a line that is whole and no row.
    """
    rows = []
    for number, line in enumerate(lines_of(path), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(row, dict):
            raise ValueError(f"{path}:{number} is no row of a table: {line[:80]}; bring the file back")
        rows.append(row)
    return rows


def lines_of(path: epath.Path) -> list[str]:
    return path.read_bytes().decode("utf-8", "replace").splitlines() if path.exists() else []


def is_row(value: Any) -> bool:
    step = value.get("step") if isinstance(value, dict) else None
    return isinstance(step, int) and not isinstance(step, bool)


def steps_of_lines(path: epath.Path, step: int) -> int:
    """How many of the lines are rows up to a step, whatever lies between them."""
    count = 0
    for line in lines_of(path):
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            count += is_row(row) and row["step"] <= step
    return count


def steps_of_csv(path: epath.Path, step: int) -> int:
    """How many of the lines of a CSV are rows up to a step."""
    firsts = (line.partition(",")[0] for line in lines_of(path)[1:])
    return sum(first.isascii() and first.isdecimal() and int(first[:20]) <= step for first in firsts)


def as_csv(values: Any) -> str:
    """One line; floats with all their digits, so that they are read back as they were."""
    line = io.StringIO()
    written = ["" if v is None else repr(v) if isinstance(v, float) else v for v in values]
    csv.writer(line, lineterminator="\n").writerow(written)
    return line.getvalue()


def as_json(row: Row) -> str:
    """One line; a loss that is no number is a word, since JSON has none for it."""
    plain = {k: repr(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
    return json.dumps(plain, allow_nan=False) + "\n"


def scalars(name: str, row: Row) -> list[tuple[str, float]]:
    """What TensorBoard draws of a row."""
    if name == "evaluations":
        return [(f"perplexity/{row['pattern']}/{row['length']}", row["perplexity"])]
    plain = ((k, v) for k, v in row.items() if k != "step" and isinstance(v, int | float))
    return [(f"{name}/{key}", value) for key, value in plain if math.isfinite(value)]
