"""A small training as a process of its own, to be killed, damaged and started again; and what it came to."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
STEPS, EVERY = 30, 5
SETTINGS = (
    "--config=configs/smoke.py",
    "--config.data.source=Copy(symbols=16)",
    f"--config.steps={STEPS}",
    f"--config.saving.every={EVERY}",
    "--config.saving.keep=2",
    "--config.held.every=10",
    "--config.held.tokens=4096",
    "--config.held.lengths=64,",
    "--config.length=64",
    "--config.optimizer.warmup=2",
)
Moment = Callable[[Path, random.Random], bool]


class Training:
    """The training of a folder, on so many simulated devices."""

    def __init__(self, folder: Path, *, devices: int = 1, cache: Path):
        self.folder = folder
        flags = f"--xla_force_host_platform_device_count={devices}"
        cached = {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        self.environment = os.environ | cached | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}

    def start(self, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "experiments.train", *SETTINGS, *more, f"--workdir={self.folder}"]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, **pipes)

    def finish(self, *more: str) -> str:
        """Run to the end; what it said. Raises if it did not get there."""
        process = self.start(*more)
        _, said = process.communicate()
        if process.returncode:
            raise RuntimeError(f"exit code {process.returncode}: {said[-2000:]}")
        return said

    def stop_at(self, moment: Callable[[Path], bool], how: signal.Signals, after: float = 0.0) -> tuple[int, str]:
        """Run until `moment(folder)`, then `after` seconds, and send a signal; the exit code and what was said."""
        process = self.start()
        while process.poll() is None and not moment(self.folder):
            time.sleep(0.002)
        time.sleep(after)
        process.send_signal(how)
        _, said = process.communicate()
        return process.returncode, said

    def digest(self) -> dict[str, str]:
        """What the training came to: the digest of its records, and the sums of its arrays."""
        records = ("metrics.csv", "metrics.jsonl", "evaluations.csv", "evaluations.jsonl")
        found = {name: hashlib.sha256((self.folder / name).read_bytes()).hexdigest() for name in records}
        manifest = json.loads((self.folder / "checkpoints" / str(STEPS) / "manifest.json").read_text())
        arrays = json.loads(manifest["body"])["arrays"]
        return found | arrays

    def rows(self, table: str = "metrics") -> int:
        return lines(self.folder / f"{table}.csv") - 1


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def begun(folder: Path) -> bool:
    """The plan is written down; next comes the first compilation of a step."""
    return (folder / "plan.json").exists()


def at_step(step: int) -> Callable[[Path], bool]:
    """So many steps are written down."""
    return lambda folder: lines(folder / "metrics.csv") > step


def saving(folder: Path) -> bool:
    """A checkpoint is being written: its folder is there and not sealed."""
    inside = (folder / "checkpoints").glob("*") if (folder / "checkpoints").exists() else ()
    return any(not (path / "manifest.json").exists() for path in inside)


def measuring(folder: Path) -> bool:
    """Step 10 is done, and its measurements are not all written down."""
    return lines(folder / "metrics.csv") > 10 and lines(folder / "evaluations.csv") < 3
