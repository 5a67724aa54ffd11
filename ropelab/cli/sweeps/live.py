"""The runs of a sweep as a table: state, step, loss, speed, time left, as their folders say."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from experiments.sweeps import one
from experiments.sweeps.manifest import Entry
from ropelab.reporting.numbers import number
from ropelab.reporting.runs import rows

STYLES = {one.DONE: "green", one.FAILED: "red", one.RUNNING: "cyan", one.STOPPED: "yellow", one.WAITING: "dim"}
HEAD = ("run", "state", "step", "loss", "tokens/s", "left")
EVERY = 1.0  # seconds: each look reads the tables of every run


class Shown:
    """The table on the terminal while the sweep runs, or once at the end where there is no terminal."""

    def __init__(self, folder: Path, found: Sequence[Entry]):
        self.folder, self.found, self.last = folder, found, 0.0
        self.console = Console(stderr=True)
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None

    def look(self) -> None:
        if self.live is not None and time.monotonic() - self.last > EVERY:
            self.live.update(table(self.folder, self.found), refresh=True)
            self.last = time.monotonic()

    def __enter__(self) -> "Shown":
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.last = 0.0
        self.look()
        if self.live is not None:
            self.live.stop()
        else:
            self.console.print(table(self.folder, self.found))


def table(folder: Path, found: Sequence[Entry]) -> Table:
    """All runs, in the order of the manifest."""
    shown = Table(*HEAD)
    for entry in found:
        state = one.state(folder, entry["name"])["state"]
        shown.add_row(entry["name"], f"[{STYLES[state]}]{state}[/]", *progress(folder / entry["name"], entry["steps"]))
    return shown


def progress(place: Path, steps: int | None) -> tuple[str, str, str, str]:
    """How far a training is; blanks for what is none, or has not begun. Damaged records do not stop a sweep."""
    try:
        metrics, speed = rows(place, "metrics"), rows(place, "speed")
    except (ValueError, OSError):
        return "?", "damaged", "", ""
    if not metrics or not steps:
        return "", "", "", ""
    last = metrics[-1]
    rate = speed[-1]["tokens_per_second"] if speed else 0.0
    tokens_per_step = last["tokens"] / max(last["step"], 1)
    left = duration((steps - last["step"]) * tokens_per_step / rate) if rate > 0 and math.isfinite(rate) else ""
    loss = f"{last['loss']:.3f}" if math.isfinite(last["loss"]) else number(last["loss"])
    return f"{last['step']}/{steps}", loss, f"{rate:.0f}" if left else "", left


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
