"""Sweeps as they run: done runs are skipped, failed ones tried again, and nothing stops the others.

Programs here are a few lines of shell instead of trainings; what starts and watches them is what trainings have.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from experiments.papers.rope_settings import comparison
from ropelab.cli import sweep
from ropelab.cli.sweeps import executors, manifest, worker
from ropelab.cli.sweeps.executors import Options

ROOT = Path(__file__).parents[3]
LINES = {  # by name: what a run does, its folder being $1
    "good": "echo fine; echo x >> $1/times",
    "after": "test -s $1/../good/times && echo x >> $1/times",
    "flaky": "echo x >> $1/times; test $(wc -l < $1/times) -ge 2",
    "bad": "echo x >> $1/times; echo the reason; exit 7",
    "refused": "echo x >> $1/times; exit 2",
    "lost": "echo x >> $1/times",
}
AFTER = {"after": ["good"], "lost": ["bad"]}


class Thread:
    """A run in a thread of the test."""

    def __init__(self, folder: Path, name: str, options: Options):
        self.thread = threading.Thread(target=worker.perform, args=(folder, name), kwargs={"retries": options.retries})
        self.thread.start()

    def has_ended(self) -> bool:
        return not self.thread.is_alive()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(executors.EXECUTORS, "local", Thread)
    monkeypatch.setattr(executors, "WAIT", 0.01)

    def words(entry: manifest.Entry, place: Path) -> list[str]:
        return ["sh", "-c", LINES[entry["name"]], "sh", str(place / entry["name"])]

    monkeypatch.setattr(manifest, "command_words", words)
    return tmp_path


def entries(*names: str) -> list[manifest.Entry]:
    return [{"name": n, "id": n, "command": [], "after": AFTER.get(n, []), "steps": None} for n in names]


def run(folder: Path, *names: str, parallel: int = 2, retries: int = 1) -> int:
    found = entries(*names)
    manifest.write(folder, found)
    return sweep.run_entries(folder, found, "local", Options(parallel, retries, {}))


def times(folder: Path, name: str) -> int:
    path = folder / name / "times"
    return path.read_text().count("x") if path.exists() else 0


def test_what_is_done_is_not_done_again(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(folder, "good", "after") == 0
    assert capsys.readouterr().out.endswith("2 runs: 2 done, 0 skipped, 0 failed\n")
    assert run(folder, "good", "after", "flaky") == 0
    assert capsys.readouterr().out.endswith("3 runs: 1 done, 2 skipped, 0 failed\n")
    assert [times(folder, name) for name in ("good", "after", "flaky")] == [1, 1, 2]


def test_a_failure_is_reported_and_stops_nothing(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(folder, "bad", "refused", "lost", "good", "after", parallel=1, retries=2) == 1
    said = capsys.readouterr()
    assert said.out.endswith("5 runs: 2 done, 0 skipped, 3 failed\n")
    assert "bad: failed\nthe reason\nthe reason\nthe reason" in said.err
    assert "lost: waiting\nwaits for bad" in said.err
    assert times(folder, "bad") == 3, "two more attempts"
    assert times(folder, "refused") == 1, "bad input stays bad input"
    assert times(folder, "lost") == 0
    LINES_before = dict(LINES)
    LINES["bad"] = "true"
    try:
        assert run(folder, "bad", "refused", "lost", "good", "after") == 1
    finally:
        LINES.update(LINES_before)
    assert capsys.readouterr().out.endswith("5 runs: 2 done, 2 skipped, 1 failed\n")


def test_a_run_with_other_settings_is_not_taken_for_this_one(folder: Path) -> None:
    assert run(folder, "good") == 0
    with pytest.raises(ValueError, match="holds a run with other settings"):
        manifest.write(folder, [entries("good")[0] | {"id": "another"}])


def test_by_index_one_run_is_done(folder: Path, capsys: pytest.CaptureFixture) -> None:
    found = entries("good", "after", "bad")
    manifest.write(folder, found)
    with pytest.raises(ValueError, match="--index=1, after, waits for good; run those first"):
        sweep.run_by_index(folder, found, 1, 0)
    assert sweep.run_by_index(folder, found, 0, 0) == 0
    assert sweep.run_by_index(folder, found, 1, 0) == 0
    assert sweep.run_by_index(folder, found, 2, 0) == 1
    with pytest.raises(ValueError, match="there are 0 to 2"):
        sweep.run_by_index(folder, found, 3, 0)


def test_a_run_that_is_asked_to_stop_before_it_begins_does_not(folder: Path) -> None:
    manifest.write(folder, entries("good"))
    worker.request_stop(folder, "good")
    assert worker.perform(folder, "good") == worker.STOPPED
    assert times(folder, "good") == 0
    assert run(folder, "good") == 0, "a sweep takes that back"


def test_a_killed_run_is_seen_and_not_begun_beside_itself(tmp_path: Path) -> None:
    """The wrapper is killed, its command lives on: the run is still under way. When that ends too, it was stopped."""
    found = [entries("good")[0] | {"command": ["experiments.nothing"]}]
    manifest.write(tmp_path, found)
    script = (
        "import sys; from pathlib import Path; from ropelab.cli.sweeps import manifest, worker\n"
        "manifest.command_words = lambda entry, folder: ['sleep', '3']\n"
        f"worker.perform(Path({str(tmp_path)!r}), 'good')"
    )
    wrapper = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    while not (tmp_path / "good" / "run.json").exists():
        time.sleep(0.05)
    time.sleep(0.3)
    wrapper.send_signal(signal.SIGKILL)
    wrapper.wait()
    assert worker.read_state(tmp_path, "good")["state"] == worker.RUNNING
    until = time.time() + 20
    while worker.read_state(tmp_path, "good")["state"] == worker.RUNNING and time.time() < until:
        time.sleep(0.1)
    assert worker.read_state(tmp_path, "good")["state"] == worker.STOPPED


@pytest.mark.parametrize(
    ("executor", "asked", "code"),
    [("local", signal.SIGTERM, 143), ("submitit", signal.SIGINT, 130), ("ray", signal.SIGTERM, 143)],
)
def test_a_sweep_that_is_asked_to_stop_asks_its_runs(
    tmp_path: Path, executor: str, asked: signal.Signals, code: int
) -> None:
    """A training under way saves its last finished step, and the sweep ends after it."""
    if executor != "local":
        pytest.importorskip(executor)
    fields = {"steps": 100000, "held.every": 0, "saving.every": 100000}
    (tmp_path / "sweep.py").write_text(
        "from ropelab.cli.sweeps.runs import run\n"
        f"def get_sweep():\n    return run('train', 'configs/smoke.py', name='long', fields={fields})\n"
    )
    flags = (f"--sweep={tmp_path / 'sweep.py'}", f"--workdir={tmp_path / 'out'}", f"--executor={executor}")
    process = subprocess.Popen([sys.executable, "-m", "experiments.sweep", *flags], cwd=ROOT)
    metrics = tmp_path / "out" / "long" / "metrics.jsonl"
    until = time.time() + 240
    while not (metrics.exists() and metrics.read_text()) and time.time() < until:
        time.sleep(0.1)
    process.send_signal(asked)
    assert process.wait(240) == code
    assert worker.read_state(tmp_path / "out", "long")["state"] == worker.STOPPED
    (saved,) = (tmp_path / "out" / "long" / "checkpoints").glob("*/manifest.json")
    assert json.loads(metrics.read_text().splitlines()[-1])["step"] == int(saved.parent.name)


@pytest.mark.parametrize("executor", ["local", "submitit", "ray"])
def test_an_executor_runs_commands(tmp_path: Path, executor: str) -> None:
    """The real ones, from a file to the last line: one run that is quick, one that fails, one that waits for it.

    The records of the first are what the command writes when it is called without a sweep.
    """
    if executor != "local":
        pytest.importorskip(executor)
    (tmp_path / "sweep.py").write_text(
        "from ropelab.cli.sweeps.runs import chain, run\n"
        "def get_sweep():\n"
        "    comparison = 'experiments.papers.rope_settings.comparison'\n"
        "    good, lost = run(comparison, name='of/good'), run(comparison, name='lost', after=('bad',))\n"
        "    return chain(good, run('nowhere', name='bad'), lost)\n"
    )
    flags = (f"--sweep={tmp_path / 'sweep.py'}", f"--workdir={tmp_path / 'out'}", f"--executor={executor}")
    command = [sys.executable, "-m", "experiments.sweep", *flags, "--retries=0", "--parallel=2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("3 runs: 1 done, 0 skipped, 2 failed\n"), done.stderr
    assert done.returncode == 1
    assert "error: no command 'nowhere'" in done.stderr
    assert "lost: waiting\nwaits for bad" in done.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())[2]["after"] == ["bad"]
    assert comparison.main(["knobs", f"--workdir={tmp_path / 'alone'}"]) == 0
    records = [(tmp_path / place / "records.jsonl").read_bytes() for place in ("alone", "out/of/good")]
    assert records[0] == records[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--sweep or --workdir is missing"),
        (("--sweep=nowhere.py", "--workdir=x"), "there is no such file"),
        (("--sweep=configs/sweeps/lex_table.py:cpu", "--workdir=x"), "it is experiments/papers/lex/sweep.py now"),
        (("--sweep=configs/smoke.py", "--workdir=x"), "has no function get_sweep"),
        (("--sweep=configs/sweeps/smoke.py", "--workdir=x", "--only=rope-7"), "no run 'rope-7'. Did you mean rope-1?"),
        (("--sweep=configs/sweeps/smoke.py", "--workdir=x", "--resources=many"), "--resources='many' is not a pair"),
    ],
)
def test_bad_input_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, arguments: tuple, message: str
) -> None:
    given = [word.replace("configs", str(ROOT / "configs")) for word in arguments]
    monkeypatch.chdir(tmp_path)
    assert sweep.main(["sweep", *given]) == 2
    assert message in capsys.readouterr().err
