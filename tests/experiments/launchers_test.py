"""The launchers, run whole with stand-ins for what they call: what would run where, and when it would run again."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml

from ropelab.cli import train

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
# Flags that a careless script would take apart, or expand.
FLAGS = ["--config=configs/extend.py:yarn", "--config.encoding=PI(factor=2.0)", "--workdir=gs://my bucket/$x; 'y'"]

STAND_INS = {
    # Runs what is to be run on a worker, in a home of its own.
    "gcloud": """
        log gcloud "$@"
        case "$4" in
          scp) cp "$5" "$HOME/ropelab.tar.gz" ;;
          describe) next states ;;
          delete) ;;
          ssh) cd "$HOME"; for a in "$@"; do [[ $a != --command=* ]] || bash -c "${a#--command=}"; done ;;
        esac""",
    "python3": """
        log python3 "$@"
        mkdir -p "$HOME/.local/bin"; cp "$STAND_INS/uv" "$HOME/.local/bin/uv" """,
    "uv": """
        log uv "$@"
        mkdir -p .venv/bin; cp "$STAND_INS/python" .venv/bin/python""",
    "python": """
        log python "$@"
        exit "$(next codes)" """,
    "srun": """
        log srun "$@"
        sleep "${SECONDS_LONG:-0}"; exit "$(next codes)" """,
    "scontrol": """log scontrol "$@" """,
    "create": """log create "$@" """,
}
COMMON = """
log() { printf '%s\\0' "$@" >>"$LOG"; printf '\\036' >>"$LOG"; }
next() { head -n1 "$STAND_INS/$1"; sed -i 1d "$STAND_INS/$1"; }
"""


class Stage:
    """A folder of stand-ins on the PATH, and what was called."""

    def __init__(self, folder: Path):
        self.folder, self.log, self.home = folder, folder / "log", folder / "home"
        self.home.mkdir()
        self.log.touch()
        for name, script in STAND_INS.items():
            (folder / name).write_text(f"#!/usr/bin/env bash\n{COMMON}{script}\n")
            (folder / name).chmod(0o755)
        path = f"{folder}:{os.environ['PATH']}"
        self.environment = os.environ | {"PATH": path, "LOG": str(self.log), "HOME": str(self.home), "WAIT": "0"}
        self.environment |= {"STAND_INS": str(folder)}

    def will(self, name: str, *values: object) -> None:
        """What comes, one a time: exit codes of the training, or states of a VM."""
        (self.folder / name).write_text("".join(f"{value}\n" for value in values))

    def run(self, *command: str | Path, **said: str) -> subprocess.CompletedProcess[str]:
        argv = ["bash", *map(str, command)]
        return subprocess.run(argv, env=self.environment | said, capture_output=True, text=True, timeout=60, cwd=ROOT)

    def calls(self, name: str) -> list[list[str]]:
        calls = [call.split("\0")[:-1] for call in self.log.read_text().split("\036")[:-1]]
        return [words[1:] for words in calls if words[0] == name]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def committed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("what is copied to a TPU VM is a commit, and this is no repository")


@pytest.mark.usefixtures("committed")
def test_a_tpu_is_given_the_code_and_the_same_command(stage: Stage) -> None:
    stage.will("codes", 0)
    done = stage.run(EXPERIMENTS / "launch_tpu.sh", "pod", "us-east5-b", *FLAGS)
    assert done.returncode == 0, done.stderr
    calls = stage.calls("gcloud")
    assert [call[3] for call in calls] == ["scp", "ssh", "ssh"]
    for call in calls:
        assert call[:3] == ["compute", "tpus", "tpu-vm"]
        assert {"--zone=us-east5-b", "--worker=all"} <= set(call)
    assert calls[0][5] == "pod:ropelab.tar.gz"
    (module, *flags) = stage.calls("python")[0][1:]
    assert (module, flags) == ("experiments.train", FLAGS)
    assert stage.calls("uv") == [
        ["venv", "--quiet", "--allow-existing", "--python", "3.12"],
        ["pip", "install", "--quiet", "-e", ".[train,tpu,gcs]"],
    ]
    assert (stage.home / "ropelab" / "experiments" / "train.py").is_file()
    assert (stage.home / "ropelab" / "train.code").read_text() == "0\n"


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize(
    ("codes", "states", "ends"),
    [
        ((143, 134, 0), ("READY", "READY"), 0),  # stopped, then another worker died
        ((1, 3), ("READY",), 3),  # what nobody foresaw, then a training that comes to nothing
        ((2,), (), 2),
        ((143,) * 3, ("READY",) * 3, 1),
    ],
)
def test_a_tpu_begins_again_until_there_is_no_use(stage: Stage, codes: tuple, states: tuple, ends: int) -> None:
    stage.will("codes", *codes)
    stage.will("states", *states)
    done = stage.run(EXPERIMENTS / "launch_tpu.sh", "pod", "z", *FLAGS, RESTARTS="2")
    assert done.returncode == ends, done.stderr
    assert [call[2:] for call in stage.calls("python")] == [FLAGS] * len(codes)
    assert len(stage.calls("python3")) == 1  # installed once


@pytest.mark.usefixtures("committed")
def test_a_tpu_that_was_taken_away_is_made_anew(stage: Stage) -> None:
    stage.will("codes", 143, 143, 0)
    stage.will("states", "PREEMPTED", "CREATING", "READY")
    done = stage.run(EXPERIMENTS / "launch_tpu.sh", "pod", "z", *FLAGS, CREATE="create pod")
    assert done.returncode == 0, done.stderr
    verbs = [call[3] for call in stage.calls("gcloud")]
    assert verbs.count("delete") == 2
    assert stage.calls("create") == [["pod"]] * 2
    assert len(stage.calls("python3")) == 3  # a new VM has nothing on it


@pytest.mark.usefixtures("committed")
def test_without_a_way_to_make_it_anew_a_tpu_is_waited_for(stage: Stage) -> None:
    stage.will("codes", 143, 0)
    stage.will("states", "PREEMPTED", "PREEMPTED", "READY")
    done = stage.run(EXPERIMENTS / "launch_tpu.sh", "pod", "z", *FLAGS)
    assert done.returncode == 0, done.stderr
    assert "pod is PREEMPTED; waiting until it is READY" in done.stderr
    assert not (stage.folder / "states").read_text()


@pytest.mark.usefixtures("committed")
def test_a_worker_ends_what_a_lost_connection_has_left(stage: Stage) -> None:
    left = subprocess.Popen(["bash", "-c", "exec -a 'python -m experiments.train' sleep 60"])
    (stage.home / "ropelab").mkdir()
    (stage.home / "ropelab" / "train.pid").write_text(f"{left.pid}\n")
    threading.Thread(target=left.wait).start()
    stage.will("codes", 0)
    assert stage.run(EXPERIMENTS / "launch_tpu.sh", "pod", "z", *FLAGS).returncode == 0
    assert left.returncode == -signal.SIGTERM


def test_a_tpu_needs_a_name_a_zone_and_flags(stage: Stage) -> None:
    done = stage.run(EXPERIMENTS / "launch_tpu.sh", "pod", "z")
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
    assert not stage.log.read_text()


def slurm(stage: Stage) -> dict[str, str]:
    """What a job of Slurm has in its environment, and a virtual environment."""
    (stage.home / "bin").mkdir()
    (stage.home / "bin" / "activate").touch()
    return {"SLURM_JOB_ID": "17", "VENV": str(stage.home)}


@pytest.mark.parametrize(("code", "again"), [(0, False), (143, True), (2, False), (3, False), (1, False)])
def test_slurm_puts_back_what_was_stopped(stage: Stage, code: int, again: bool) -> None:
    stage.will("codes", code)
    done = stage.run(EXPERIMENTS / "slurm.sbatch", *FLAGS, **slurm(stage))
    assert done.returncode == code, done.stderr
    assert stage.calls("srun") == [["--kill-on-bad-exit=0", "python", "-m", "experiments.train", *FLAGS]]
    assert stage.calls("scontrol") == ([["requeue", "17"]] if again else [])


def test_slurm_s_script_waits_for_processes_that_are_saving(stage: Stage) -> None:
    stage.will("codes", 143)
    said = stage.environment | slurm(stage) | {"SECONDS_LONG": "0.5"}
    job = subprocess.Popen(["bash", EXPERIMENTS / "slurm.sbatch", *FLAGS], env=said, cwd=ROOT)
    while not stage.calls("srun"):
        time.sleep(0.01)
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=30) == 143
    assert stage.calls("scontrol") == [["requeue", "17"]]


def test_slurm_is_asked_for_time_to_save() -> None:
    asked = [line for line in (EXPERIMENTS / "slurm.sbatch").read_text().splitlines() if line.startswith("#SBATCH")]
    assert {"#SBATCH --signal=TERM@120", "#SBATCH --requeue", "#SBATCH --open-mode=append"} <= set(asked)


def test_skypilot_s_nodes_meet_at_the_first(stage: Stage) -> None:
    task = yaml.safe_load((EXPERIMENTS / "skypilot.yaml").read_text())
    assert task["num_nodes"] == 2
    assert task["resources"]["use_spot"]
    assert [name for name, value in task["envs"].items() if value is None] == ["WORKDIR"]  # SkyPilot asks for it
    (stage.home / "run.sh").write_text(f"set -e\ncd {stage.home}\n{task['setup']}\n{task['run']}")
    stage.will("codes", 0)
    nodes = {"SKYPILOT_NODE_IPS": "10.0.0.2\n10.0.0.3", "SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": "1"}
    said = {"CONFIG": "configs/extend.py:yarn", "WORKDIR": "gs://b/x", "FLAGS": "--config.seed=1 --accept=steps"}
    done = stage.run(stage.home / "run.sh", **nodes, **said)
    assert done.returncode == 0, done.stderr
    (called,) = stage.calls("python")
    assert called == [
        "-m", "experiments.train", "--config=configs/extend.py:yarn", "--workdir=gs://b/x", "--config.seed=1",
        "--accept=steps", "--coordinator=10.0.0.2:8476", "--processes=2", "--process=1",
    ]  # fmt: skip


def test_what_the_launchers_hand_over_is_understood(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Down to the address of the coordinator, which is checked before anybody is looked for."""
    argv = ["train", "--config=configs/smoke.py", f"--workdir={tmp_path}", "--coordinator=nobody", "--processes=2"]
    assert train.main([*argv, "--process=1"]) == 2
    assert "coordinator='nobody' must be the host and a free port" in capsys.readouterr().err
