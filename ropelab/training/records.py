"""What a run writes down as it goes: one table a kind of row, each as CSV and as JSON lines, and TensorBoard.

    metrics        step, loss, ...: every step, and the same to the last bit however often the run was interrupted
    evaluations    step, pattern, length, nll, perplexity, tokens
    speed          step, seconds, tokens per second, MFU, peak memory: of this machine, at this hour
    skipped        step, loss, gradient's norm and digest of every batch that the guard left out

A run that goes on from a checkpoint first drops the rows after it.
"""

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
    """The tables of a run in its folder, begun or gone on with after step `up_to`."""

    def __init__(self, folder: epath.Path, *, up_to: int, writes: bool = True):
        self._tables: dict[str, tuple[Lines, Lines]] = {}
        self._board: Any = None
        for name, columns in TABLES.items():
            if not writes:
                self._tables[name] = (Nothing(), Nothing())
                continue
            rows = [row for row in rows_of(folder / f"{name}.jsonl") if row["step"] <= up_to]
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


def rows_of(path: epath.Path) -> list[Row]:
    """The rows of a table of JSON lines, up to the first that was cut short."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


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
