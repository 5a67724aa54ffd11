"""`ropelab <command>`: the list of commands, and the same commands as launchers of a clone."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ropelab.cli import main

ROOT = Path(__file__).parents[2]


def python(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True)


def test_help_lists_the_commands_without_jax(tmp_path: Path) -> None:
    script = (
        "import sys; from ropelab.cli.main import main; code = main(['ropelab', '--help'])\n"
        "sys.exit(code or 3 * any(name in sys.modules for name in ('jax', 'flax', 'numpy')))"
    )
    done = python("-c", script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(f"  {name} " in done.stdout for name in main.COMMANDS)


def test_a_command_runs_from_an_empty_folder(tmp_path: Path) -> None:
    done = python(
        "-m", "ropelab.cli", "translate", "--rope-freq-scale 0.5 -c 8192", "--base=10000", "--to=hf", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert '"factor": 2.0' in done.stdout


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_is_a_module_and_a_launcher(command: str) -> None:
    assert callable(importlib.import_module(f"ropelab.cli.{command}").main)
    assert (ROOT / "experiments" / f"{command}.py").is_file()


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture) -> None:
    assert main.main(["ropelab", "swop"]) == 2
    assert capsys.readouterr().err == "error: no command 'swop'. Did you mean swap? `ropelab --help` lists them\n"


def test_no_command_prints_the_list(capsys: pytest.CaptureFixture) -> None:
    assert main.main(["ropelab"]) == 2
    assert "usage: ropelab <command>" in capsys.readouterr().out
