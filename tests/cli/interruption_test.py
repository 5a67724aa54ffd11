"""Ctrl-C in the middle of a real run: exit code 130, no table, and the same command completes it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cli.tiny_run import arguments, numbers, per_token, place, run

ROOT = Path(__file__).parents[2]
# A shell may start background jobs with SIGINT ignored, which Python would inherit.
LISTENING = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('experiments.swap', run_name='__main__', alter_sys=True)"
)


def start(*command: str) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kept(workdir: Path) -> list[str]:
    """The finished lines of the store."""
    path = workdir / "measurements.jsonl"
    return path.read_text().splitlines(keepends=True) if path.is_file() else []


def wait_for_a_pass(workdir: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not kept(workdir):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return place(tmp_path_factory.mktemp("interruption"))


def test_an_interrupted_run_is_completed_by_the_same_command(folder: Path) -> None:
    workdir = folder / "cut"
    interrupted = start("-c", LISTENING, *arguments(folder, workdir))
    wait_for_a_pass(workdir, interrupted)
    interrupted.send_signal(signal.SIGINT)
    _, errors = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, errors
    assert "interrupted; finished measurements are kept" in errors
    assert "Traceback" not in errors
    assert not (workdir / "records.csv").exists()
    assert not (workdir / "report.md").exists()
    before = kept(workdir)

    completed = start("-m", "experiments.swap", *arguments(folder, workdir))
    output, errors = completed.communicate(timeout=120)
    assert completed.returncode == 0, errors
    assert "Perplexity by length" in output
    assert kept(workdir)[: len(before)] == before
    assert len(kept(workdir)) > len(before)

    assert run(arguments(folder, folder / "whole")) == 0
    assert numbers(workdir) == numbers(folder / "whole")
    for name, values in per_token(folder / "whole").items():
        np.testing.assert_array_equal(per_token(workdir)[name], values)
