"""A live table of a sweep's runs: state, step, loss, speed and time left, read from their folders."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ropelab.cli.sweeps import worker
from ropelab.cli.sweeps.manifest import Entry
from ropelab.reporting.numbers import number
from ropelab.reporting.run_files import rows

_STYLES = {
    worker.DONE: "green",
    worker.FAILED: "red",
    worker.RUNNING: "cyan",
    worker.STOPPED: "yellow",
    worker.WAITING: "dim",
}
_HEAD = ("run", "state", "step", "loss", "tokens/s", "left")
_INTERVAL = 1.0  # seconds: each refresh reads the tables of every run


class LiveTable:
    """The table on the terminal while the sweep runs, or once at the end if there is no terminal."""

    def __init__(self, folder: Path, entries: Sequence[Entry]):
        self.folder, self.entries, self.last = folder, entries, 0.0
        self.console = Console(stderr=True)
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None

    def refresh(self) -> None:
        if self.live is not None and time.monotonic() - self.last > _INTERVAL:
            self.live.update(make_table(self.folder, self.entries), refresh=True)
            self.last = time.monotonic()

    def __enter__(self) -> "LiveTable":
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.last = 0.0
        self.refresh()
        if self.live is not None:
            self.live.stop()
        else:
            self.console.print(make_table(self.folder, self.entries))


def make_table(folder: Path, entries: Sequence[Entry]) -> Table:
    """Make the table of all runs, in the order of the manifest."""
    table = Table(*_HEAD)
    for entry in entries:
        state = worker.read_state(folder, entry["name"])["state"]
        progress = read_progress(folder / entry["name"], entry["steps"])
        table.add_row(entry["name"], f"[{_STYLES[state]}]{state}[/]", *progress)
    return table


def read_progress(place: Path, steps: int | None) -> tuple[str, str, str, str]:
    """Read the progress of a training; empty for other commands, or before it begins. Damaged records are tolerated."""
    try:
        metrics, speed = rows(place, "metrics"), rows(place, "speed")
    except (ValueError, OSError):
        return "?", "damaged", "", ""
    if not metrics or not steps:
        return "", "", "", ""
    last = metrics[-1]
    rate = speed[-1]["tokens_per_second"] if speed else 0.0
    tokens_per_step = last["tokens"] / max(last["step"], 1)
    left = _format_duration((steps - last["step"]) * tokens_per_step / rate) if rate > 0 and math.isfinite(rate) else ""
    loss = f"{last['loss']:.3f}" if math.isfinite(last["loss"]) else number(last["loss"])
    return f"{last['step']}/{steps}", loss, f"{rate:.0f}" if left else "", left


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
