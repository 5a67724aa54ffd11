"""The page that walks through adding an encoding: its code and its commands, run as they stand."""

import re
import shlex
import sys
from pathlib import Path

import pytest

import ropelab
from ropelab import contract, lab
from ropelab.cli import check
from ropelab.encodings import Rotary, user_module
from tests.cli import tiny_run
from tests.models import tiny

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add_an_encoding.md").read_text()
FILE, LOOP, SWAP, ROTARY = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    shlex.split(command)
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for command in block.replace("\\\n", "").strip().splitlines()
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder, with the file saved as the page says."""
    (tmp_path / "my_encoding.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def program(command: list[str]) -> tuple[str, list[str]]:
    assert command[:2] == ["python", "-m"]
    return command[2], command[3:]


def test_the_encoding_passes_the_check(folder: Path, capsys: pytest.CaptureFixture):
    name, argv = program(COMMANDS[0])
    assert (name, argv) == ("experiments.check", ["my_encoding.py"])
    assert check.main(["check", *argv]) == 0
    assert "my_encoding.py:ForgetfulReRoPE(base=10000.0, window=8): all 23 properties hold" in capsys.readouterr().out


def test_every_other_check_names_what_can_be_checked(folder: Path):
    named = [argv for name, argv in map(program, COMMANDS[1:]) if name == "experiments.check"]
    assert len(named) == 2
    for argv in named:
        assert check.parse_encodings(argv, everything=False)


def test_the_fault_that_the_page_plants_is_caught_where_it_says(folder: Path):
    faulty = FILE.replace("k_pos_BS[:, None, :])", "jnp.arange(k_pos_BS.shape[1]))")
    assert faulty != FILE
    (folder / "faulty.py").write_text(faulty)
    (encoding,) = user_module.examples("faulty.py")
    (excerpt,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    lines = excerpt.splitlines()
    for name, words in zip(lines[::2], lines[1::2], strict=True):
        found = contract.verdict(encoding, name)
        assert found.result == "FAIL"
        assert found.words.split(": ")[0] == words.strip().split(": ")[0]


def test_the_loop_agrees(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "my_encoding", raising=False)
    exec(LOOP, {})
    monkeypatch.delitem(sys.modules, "my_encoding")


def test_the_swap_is_applied(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """In a tiny model in the place of SmolLM2."""
    small = tiny.lab(tokenizer=True)
    monkeypatch.setattr(lab, "load", lambda name: small)
    space: dict = {"ropelab": ropelab}
    exec(SWAP, space)
    printed = capsys.readouterr().out
    assert "ForgetfulReRoPE(base=" in printed
    assert "differs from the model as loaded from position" in printed
    config = space["lab"].config
    assert f"({config.layers}, {config.heads})" in printed


def test_the_experiment_measures_it(folder: Path):
    name, argv = program(COMMANDS[-1])
    assert name == "experiments.swap"
    (encodings,) = (a.split("=", 1)[1] for a in argv if a.startswith("--config.encodings="))
    tiny_run.place(folder)
    assert tiny_run.run(tiny_run.arguments(folder, folder / "out", encodings=encodings)) == 0
    arms = {row["variant"] for row in tiny_run.results(folder / "out")}
    assert "my_encoding.py:ForgetfulReRoPE(window=512)" in arms


def test_a_rotary_encoding_is_as_short_as_the_page_says(folder: Path):
    (folder / "slowed.py").write_text(ROTARY)
    (encoding,) = user_module.examples("slowed.py")
    assert [v for v in contract.examine(encoding) if v.result == "FAIL"] == []


def test_the_hooks_and_the_files_of_the_table_exist():
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) > 10
    for _, hooks, _, files, _ in rows:
        for hook in re.findall(r"`(\w+)", hooks):
            assert hasattr(Rotary, hook), hook
        for file in re.findall(r"`(\w+\.py)`", files):
            assert (ROOT / "ropelab" / "encodings" / file).is_file(), file
