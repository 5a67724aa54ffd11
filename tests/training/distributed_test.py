"""Two processes of two devices are one training on four: the same parameters to begin with, the same losses, and one of
them killed costs nothing but the steps since the last checkpoint."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from ropelab.training.checkpointing import sealed_steps
from ropelab.training.manifest import read_facts
from ropelab.training.metrics import read_rows
from tests.training.tiny import MODEL

ROOT = Path(__file__).parents[2]
STEPS = 9
SETTINGS = (
    "--config=configs/smoke.py",
    f"--config.model={MODEL.replace('layers=2', 'layers=1')}",
    "--config.data.source=Copy(symbols=16)",
    f"--config.steps={STEPS}",
    "--config.length=16",
    "--config.optimizer.warmup=2",
    "--config.held.every=0",
    "--config.held.lengths=16",
    "--config.held.tokens=256",
    "--config.saving.every=1",  # what is saved takes longer than a step: time enough to strike in
    "--config.mesh.data=2",
    "--config.mesh.fsdp=2",
)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def started(workdir: Path, processes: int = 2) -> list[subprocess.Popen[str]]:
    """Four devices over so many processes.

    The port of the coordinator is a new one each time, as on machines that are given anew. The second process compiles
    every time, because jax's cache is written by the first and of no use to others; so little is optimised.
    """
    flags = f"--xla_backend_optimization_level=0 --xla_force_host_platform_device_count={4 // processes}"
    said = {"XLA_FLAGS": flags, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "experiments.train", *SETTINGS, f"--workdir={workdir}"]
    several = [f"--coordinator=127.0.0.1:{free_port()}", f"--processes={processes}"] if processes > 1 else []
    places = [[*several, f"--process={n}"] if several else [] for n in range(processes)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [subprocess.Popen([*command, *place], cwd=ROOT, env=os.environ | said, **pipes) for place in places]


def finished(started: list[subprocess.Popen[str]]) -> list[str]:
    """What each printed."""
    said = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * len(started), said
    return [out for out, _ in said]


def killed(workdir: Path) -> list[int]:
    """Start both, kill the second when a checkpoint is whole, and the first as a launcher would; how they ended."""
    both = started(workdir)
    while not sealed_steps(epath.Path(workdir / "checkpoints")):
        assert [one.poll() for one in both] == [None, None], both[0].communicate()[1][-2000:]
        time.sleep(0.01)
    for one in reversed(both):
        one.send_signal(signal.SIGKILL)
    for one in both:
        one.communicate()
    return [one.returncode for one in both]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process has come to."""
    workdir = tmp_path_factory.mktemp("one") / "run"
    finished(started(workdir, processes=1))
    return workdir


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have come to, one of which was killed on the way."""
    workdir = tmp_path_factory.mktemp("two") / "run"
    assert killed(workdir) == [-signal.SIGKILL] * 2
    first, second = finished(started(workdir))
    assert f"written to {workdir}" in first
    assert "written to" not in second  # one of them speaks
    return workdir


def test_the_losses_are_those_of_one_process(two: Path, one: Path) -> None:
    ours, theirs = (read_rows(epath.Path(run / "metrics.jsonl")) for run in (two, one))
    assert [row["step"] for row in ours] == list(range(1, STEPS + 1))
    for column in ("loss", "grad_norm"):
        np.testing.assert_allclose([r[column] for r in ours], [r[column] for r in theirs], atol=1e-5, rtol=1e-5)
    assert [row["tokens"] for row in ours] == [row["tokens"] for row in theirs]
    measured = (read_rows(epath.Path(run / "evaluations.jsonl")) for run in (two, one))
    np.testing.assert_allclose(*([row["nll"] for row in rows] for rows in measured), atol=1e-5)


def test_both_begin_with_the_same_parameters(two: Path, one: Path) -> None:
    """Bit for bit, by the fingerprint that each checkpoint has of what its training began from."""
    bases = {read_facts(epath.Path(run / "checkpoints" / str(STEPS)))["base"] for run in (two, one)}
    assert len(bases) == 1


def test_the_second_start_went_on(two: Path) -> None:
    starts = [json.loads(line) for line in (two / "starts.jsonl").read_text().splitlines()]
    first, second = (start["step"] for start in starts)
    assert first == 0
    assert 0 < second < STEPS
    assert {start["processes"] for start in starts} == {2}
    assert {start["devices"] for start in starts} == {"4 x cpu"}
