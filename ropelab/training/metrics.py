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
import hashlib
import io
import json
import math
import os
import resource
import sys
import time
from typing import Any, TextIO

import jax
import numpy as np
from etils import epath
from tqdm import tqdm

from ropelab.data.batch import Batch
from ropelab.training.step import SkipConfig, StepMetrics

# A text file that grows by lines, on a disk or in a bucket.
#
# On a disk each line is appended and in the hands of the operating system at once. An object in a bucket cannot grow,
# so there the file is written anew whenever it is synced, which a checkpoint does before it counts on its lines.


class LineFile:
    """The lines of one file; those that are there already and are to stay come first."""

    def __init__(self, path: epath.Path, kept: str):
        self._path, self._text = path, kept
        self._file: TextIO | None = None
        if "://" in os.fspath(path):
            return
        unfinished = path.with_name(path.name + ".unfinished")
        unfinished.write_text(kept)
        unfinished.replace(path)
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (open as long as the training runs)

    def add(self, line: str) -> None:
        if self._file is None:
            self._text += line
        else:
            self._file.write(line)
            self._file.flush()

    def sync(self) -> None:
        """Have every line where a crash of the machine leaves it."""
        if self._file is None:
            self._path.write_text(self._text)
        else:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self.sync()
        if self._file is not None:
            self._file.close()


class NullFile(LineFile):
    """Takes lines and writes none: of the processes, only the first keeps records."""

    def __init__(self) -> None:
        pass

    def add(self, line: str) -> None:
        del line

    def sync(self) -> None:
        pass

    def close(self) -> None:
        pass


TABLES = {
    "metrics": ("step", "loss", "grad_norm", "lr", "tokens", "skipped"),
    "evaluations": ("step", "pattern", "length", "nll", "perplexity", "tokens"),
    "speed": ("step", "seconds", "tokens_per_second", "mfu", "peak_memory_gib"),
    "skipped": ("step", "loss", "grad_norm", "batch"),
}
Row = dict[str, Any]


class MetricsWriter:
    """The tables of a run in its folder, begun or gone on with after step `up_to`.

    Raises:
        ValueError: if a table has lost rows up to that step, or has what is none; nothing is written then.
    """

    def __init__(self, folder: epath.Path, *, up_to: int, writes: bool = True):
        self._tables: dict[str, tuple[LineFile, LineFile]] = {}
        self._board: Any = None
        kept = {name: _read_rows_up_to(folder, name, up_to) for name in TABLES} if writes else {}
        for name, columns in TABLES.items():
            if not writes:
                self._tables[name] = (NullFile(), NullFile())
                continue
            rows = kept[name]
            table = _format_csv(columns) + "".join(_format_csv(row.values()) for row in rows)
            lines = "".join(_format_json(row) for row in rows)
            self._tables[name] = LineFile(folder / f"{name}.csv", table), LineFile(folder / f"{name}.jsonl", lines)
        if writes:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=up_to + 1, max_queue=1000)

    def add(self, name: str, row: Row) -> None:
        """Write down a row of a table, which has that table's columns in their order."""
        if tuple(row) != TABLES[name]:
            raise ValueError(f"a row of {name} has {', '.join(TABLES[name])}; this one has {', '.join(row)}")
        table, lines = self._tables[name]
        table.add(_format_csv(row.values()))
        lines.add(_format_json(row))
        if self._board is not None:
            for tag, value in _scalars(name, row):
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


def _read_rows_up_to(folder: epath.Path, name: str, step: int) -> list[Row]:
    """The rows of a table up to a step.

    Raises:
        ValueError: if the CSV, or what follows a damaged line, has more of them: they would be lost.
    """
    path = folder / f"{name}.jsonl"
    rows = []
    for number, row in enumerate(read_rows(path), 1):
        if tuple(row) != TABLES[name] or not _is_row(row):
            raise ValueError(
                f"{path}:{number} is no row of {', '.join(TABLES[name])}: {str(row)[:80]}; bring the file back"
            )
        rows += [row] if row["step"] <= step else []
    there = max(_count_json_rows(path, step), _count_csv_rows(folder / f"{name}.csv", step))
    if there > len(rows):
        raise ValueError(
            f"{path} has {len(rows)} whole rows up to step {step}, and {there} were written; bring it back, or move "
            f"{name}.jsonl and {name}.csv away to go on without them"
        )
    return rows


def read_rows(path: epath.Path) -> list[Row]:
    """The rows of a table of JSON lines, up to the first that was cut short.

    Raises:
        ValueError: for a line that is whole and no row.
    """
    rows = []
    for number, line in enumerate(_read_lines(path), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(row, dict):
            raise ValueError(f"{path}:{number} is no row of a table: {line[:80]}; bring the file back")
        rows.append(row)
    return rows


def _read_lines(path: epath.Path) -> list[str]:
    return path.read_bytes().decode("utf-8", "replace").splitlines() if path.exists() else []


def _is_row(value: Any) -> bool:
    step = value.get("step") if isinstance(value, dict) else None
    return isinstance(step, int) and not isinstance(step, bool)


def _count_json_rows(path: epath.Path, step: int) -> int:
    """How many of the lines are rows up to a step, whatever lies between them."""
    count = 0
    for line in _read_lines(path):
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            count += _is_row(row) and row["step"] <= step
    return count


def _count_csv_rows(path: epath.Path, step: int) -> int:
    """How many of the lines of a CSV are rows up to a step."""
    firsts = (line.partition(",")[0] for line in _read_lines(path)[1:])
    return sum(first.isascii() and first.isdecimal() and int(first[:20]) <= step for first in firsts)


def _format_csv(values: Any) -> str:
    """One line; floats with all their digits, so that they are read back as they were."""
    line = io.StringIO()
    written = ["" if v is None else repr(v) if isinstance(v, float) else v for v in values]
    csv.writer(line, lineterminator="\n").writerow(written)
    return line.getvalue()


def _format_json(row: Row) -> str:
    """One line; a loss that is no number is a word, since JSON has none for it."""
    plain = {k: repr(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
    return json.dumps(plain, allow_nan=False) + "\n"


def _scalars(name: str, row: Row) -> list[tuple[str, float]]:
    """What TensorBoard draws of a row."""
    if name == "evaluations":
        return [(f"perplexity/{row['pattern']}/{row['length']}", row["perplexity"])]
    plain = ((k, v) for k, v in row.items() if k != "step" and isinstance(v, int | float))
    return [(f"{name}/{key}", value) for key, value in plain if math.isfinite(value)]


# What is said of each step: a row of `metrics`, a look at the clock, an end when too many batches were left out.
#
# The figures of a step are read when the next one is under way, so that the device never waits for them.

SPEED_EVERY = 20  # steps


class Diverged(Exception):
    """So many batches in a row could not be taken."""


class Reporter:
    """Follows a training from step to step.

    Attributes:
        tokens: predictions that were trained on so far.
    """

    def __init__(self, records: MetricsWriter, guard: SkipConfig, bar: tqdm, *, tokens: int, peak: float):
        self.records, self.guard, self.bar, self.tokens, self.peak = records, guard, bar, tokens, peak
        self._waiting: tuple[int, StepMetrics, Batch, float] | None = None
        self.rest()

    def happened(self, step: int, figures: StepMetrics, batch: Batch, flops: float) -> None:
        """A step was begun: `figures` are on their way. `batch` is the whole one or this process's rows."""
        self.flush()
        self._waiting = (step, figures, batch, flops)

    def flush(self) -> None:
        """Write down the step that was begun last.

        Raises:
            Diverged: if it was the last of too many that were left out.
        """
        if self._waiting is None:
            return
        step, figures, batch, flops = self._waiting
        self._waiting = None
        found = jax.device_get(figures)
        self.tokens += int(found.tokens)
        loss, norm = float(found.loss), float(found.norm)
        row = {
            "step": step,
            "loss": loss,
            "grad_norm": norm,
            "lr": float(found.lr),
            "tokens": self.tokens,
            "skipped": int(found.skipped),
        }
        self.records.add("metrics", row)
        self.bar.update()
        self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        if not found.taken:
            self.skipped(step, loss, norm, batch, int(found.in_a_row))
        self.clock(step, int(found.tokens), flops)

    def skipped(self, step: int, loss: float, norm: float, batch: Batch, in_a_row: int) -> None:
        digest = hashlib.sha256(np.ascontiguousarray(batch.tokens).tobytes()).hexdigest()[:12]
        self.records.add("skipped", {"step": step, "loss": loss, "grad_norm": norm, "batch": digest})
        if in_a_row >= self.guard.stop_after:
            raise Diverged(
                f"{in_a_row} batches in a row were left out, the last at step {step} (tokens {digest}, loss {loss}, "
                f"gradient {norm}); see skipped.csv. Lower optimizer.lr, lengthen optimizer.warmup or look at the data"
            )

    def pause(self) -> None:
        """Write down the step that was begun last, and the speed of those since the last look at the clock: what comes
        next is no training. Without this a run that measures every 10 steps would have no speed at all."""
        self.flush()
        if self._steps:
            self.look()

    def rest(self) -> None:
        """Start the clock anew: what came before was no training."""
        self._since, self._steps, self._tokens, self._flops = time.perf_counter(), 0, 0, 0.0

    def clock(self, step: int, tokens: int, flops: float) -> None:
        self._steps, self._tokens, self._flops = self._steps + 1, self._tokens + tokens, self._flops + flops * tokens
        self._step = step
        if self._steps >= SPEED_EVERY:
            self.look()

    def look(self) -> None:
        """Write down the speed since the last look."""
        seconds = time.perf_counter() - self._since
        mfu = self._flops / seconds / self.peak
        row = {
            "step": self._step,
            "seconds": round(seconds, 3),
            "tokens_per_second": round(self._tokens / seconds, 1),
            "mfu": round(mfu, 4) if mfu == mfu else None,
            "peak_memory_gib": round(_peak_memory() / 2**30, 3),
        }
        self.records.add("speed", row)
        self.bar.set_postfix_str(f"{row['tokens_per_second']:.0f} tok/s", refresh=False)
        self.rest()


def _peak_memory() -> float:
    """Bytes at the worst moment so far: of the fullest device, or of the process where devices do not say."""
    known: list[Any] = [device.memory_stats() for device in jax.local_devices()]
    if all(known):
        return float(max(stats.get("peak_bytes_in_use", 0) for stats in known))
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
