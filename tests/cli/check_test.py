"""The contract from the command line: verdicts, counterexamples in words, exit codes, and the table as a page."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ropelab.cli import check
from ropelab.contract import PROPERTIES
from ropelab.contract.positions import shifting_all_positions_changes_nothing
from ropelab.encodings import ALL

ROOT = Path(__file__).parents[2]
CHEAP = ("the_print_is_the_spec", "every_field_changes_the_scores", "rotations_equal_a_float64_loop")
SOUND = """
from ropelab.encodings import RoPE
from ropelab.spec import spec


@spec
class Mine(RoPE):
    a: float = 1.0

    def frequencies(self, head_dim, length):
        inv_freq, amplitude = RoPE.frequencies(self, head_dim, length)
        return self.a * inv_freq, amplitude
"""


@pytest.fixture(autouse=True)
def few_properties(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The suite itself is tested elsewhere; here it is kept short, and put back in its order."""
    whole = dict(PROPERTIES)
    keep(CHEAP)
    monkeypatch.chdir(tmp_path)
    yield
    PROPERTIES.clear()
    PROPERTIES.update(whole)


def keep(names: Sequence[str]) -> None:
    """Leave these properties in the suite, and no others."""
    for name in set(PROPERTIES) - set(names):
        del PROPERTIES[name]


def run(*argv: str) -> int:
    return check.main(["check", *argv])


def test_a_sound_file_passes(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "mine.py").write_text(SOUND)
    assert run("mine.py", "mine.py:Mine(a=0.5)", "NoPE") == 0
    out = capsys.readouterr().out
    assert "mine.py:Mine(base=10000.0): all 3 properties hold" in out
    assert "mine.py:Mine(base=10000.0, a=0.5): all 3 properties hold" in out
    assert "NoPE(): all 1 properties hold" in out
    assert "n/a: there are no fields" in out


def test_a_failure_has_its_counterexample_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "mine.py").write_text(SOUND.replace("self.a *", "1.5 *"))
    assert run("mine.py") == 1
    out = capsys.readouterr().out
    assert "every_field_changes_the_scores\n  a of Mine(base=10000.0) changes nothing for 21 tokens" in out
    assert "mine.py:Mine(base=10000.0): 1 of 3 properties fail" in out


def test_what_the_file_raises_is_a_counterexample_too(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "mine.py").write_text(SOUND.replace("self.a *", "self.b *"))
    assert run("mine.py") == 1
    out = capsys.readouterr().out
    assert "AttributeError" in out
    assert "mine.py:12: Mine has no attribute 'b'" in out.replace("\n", "")


def test_hooks_that_cannot_be_called_are_said_once(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "mine.py").write_text(SOUND.replace("self.a *", "self.b *"))
    assert run("mine.py") == 1
    assert capsys.readouterr().out.count("has no attribute 'b'") == 1


def test_a_forgotten_tuple_is_named(tmp_path: Path, capsys: pytest.CaptureFixture):
    hook = "    def encode_q(self, params, q_BTNH, pos_BT, ctx):\n        return q_BTNH\n"
    (tmp_path / "mine.py").write_text(f"{SOUND}\n{hook}")
    assert run("mine.py") == 1
    assert "encode_q must return a tuple" in capsys.readouterr().out


def test_an_absolute_encoding_is_told_how_to_say_so(tmp_path: Path, capsys: pytest.CaptureFixture):
    PROPERTIES["shifting_all_positions_changes_nothing"] = shifting_all_positions_changes_nothing
    hook = (
        "    def combine(self, params, views, q_pos_BT, k_pos_BS, ctx):\n"
        "        return views[0] - self.a * k_pos_BS[:, None, None, :]\n"
    )
    (tmp_path / "mine.py").write_text(f"{SOUND}\n{hook}")
    assert run("mine.py") == 1
    assert "relative = False" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "name a file"),
        (("--all", "NoPE"), "name a file"),
        (("nowhere.py",), "no encoding can be read from nowhere.py"),
        (("Yarn(factor=2)",), "unknown encoding 'Yarn'. Did you mean YaRN?"),
        (("PI",), "PI needs factor="),
        (("RoPE(rotary_dim=32)",), "rotary_dim=32 exceeds head_dim=16"),
        (("--all=x", "NoPE"), "Non-boolean argument"),
        (("--unknown", "NoPE"), "Unknown command line flag 'unknown'"),
        (("NoPE", "--markdown=/dev/null/page.md"), "File exists"),
    ],
)
def test_bad_input_is_refused_in_one_line(argv: tuple[str, ...], message: str, capsys: pytest.CaptureFixture):
    assert run(*argv) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert printed.out == ""


def test_the_whole_catalogue_becomes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture):
    keep(CHEAP[:1])
    assert run("--all", "--markdown=docs/contract.md") == 0
    page = (tmp_path / "docs" / "contract.md").read_text()
    assert "`python -m experiments.check --all --markdown=docs/contract.md` on jax" in page
    assert "| ALiBi | ✓ |" in page
    assert page.count("\n| ") == 1 + len({type(e) for e in ALL})
    assert "1. `the_print_is_the_spec`: `parse(repr(e)) == e`" in page
    assert "1  the_print_is_the_spec" in capsys.readouterr().out


def test_help_is_the_command_s_own(capsys: pytest.CaptureFixture):
    assert run("--help") == 0
    assert "my_encoding.py:Mine(a=1)" in capsys.readouterr().out


def test_without_assertions_nothing_is_said_to_hold():
    command = [sys.executable, "-O", "-m", "experiments.check", "NoPE"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 2
    assert "run it without -O" in done.stderr
