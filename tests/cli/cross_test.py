"""The cross table from the command line: kept line by line, continued, written as a page, and red where it is wrong."""

from pathlib import Path

import jax
import pytest

from ropelab import attention
from ropelab.attention import Grouped, ShiftedSparse
from ropelab.cli import cross
from ropelab.encodings import ALL, ALiBi
from ropelab.reporting import cross_table
from ropelab.spec import spec


@spec
class Halved(ShiftedSparse):
    """Says what `ShiftedSparse` says and, where tokens are in order, forgets to shift half of the heads."""

    def attend(self, kernel, formula, operands, *, in_order):
        forgetful = formula._replace(pattern=Grouped(group=self.group)) if in_order else formula
        return kernel(forgetful, operands)


@pytest.fixture(autouse=True)
def in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def run(*argv: str) -> int:
    return cross.main(["cross", *argv])


def test_two_patterns_are_measured_once(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    """The second run computes nothing, the third only what it has not yet seen."""
    argv = ("--encodings=ALiBi", "--dtypes=float32", "--workdir=kept", "--markdown=docs/page.md")
    assert run(*argv, "--patterns=Causal; SlidingWindow(window=9)") == 0
    kept = cross_table.read(tmp_path / "kept" / "cross.jsonl")
    assert [c["pattern"] for c in kept] == ["Causal()", "SlidingWindow(window=9)"]
    assert [set(c["errors"]) for c in kept] == [{"dense", "blockwise"}] * 2
    assert all(0 < error < 2e-5 for c in kept for error in c["errors"].values())
    assert {c["jax"] for c in kept} == {jax.__version__}
    assert "all 2 are within the bound" in capsys.readouterr().out
    page = (tmp_path / "docs" / "page.md").read_text()
    assert "--markdown=docs/page.md" in page.splitlines()[2]
    assert "| ALiBi | 0." in page

    asked = []
    monkeypatch.setattr(cross, "errors", lambda *given: asked.append(given) or {"dense": 1e-7})
    assert run(*argv, "--patterns=Causal; SlidingWindow(window=9)") == 0
    assert asked == []
    assert run(*argv, "--patterns=Causal; SlidingWindow(window=8)") == 0
    assert asked == [(ALiBi(), attention.SlidingWindow(window=8), "float32")]


def test_a_pattern_that_is_wrong_where_tokens_are_in_order_gives_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    wanted = cross.make_combinations([ALiBi()], [Halved(group=6)], ["float32"])
    assert cross.measure_missing(wanted, tmp_path, page=None, command="") == 1
    (found,) = cross_table.read(tmp_path / "cross.jsonl")
    assert max(found["errors"]["dense"], found["errors"]["blockwise"]) < 2e-5 < found["errors"]["arranged"]
    assert "1 of 1 exceed it" in capsys.readouterr().out


def test_an_interruption_keeps_what_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(encoding, pattern, dtype):
        if dtype == "float32":
            raise KeyboardInterrupt
        return {"dense": 1e-16}

    monkeypatch.setattr(cross, "errors", interrupted)
    assert run("--encodings=ALiBi", "--patterns=Causal", "--markdown=page.md") == 130
    assert "1 of 2 are kept, and the same command resumes" in capsys.readouterr().err
    assert "1 of 2 are still to be measured" in (tmp_path / "page.md").read_text()
    assert len(cross_table.read(tmp_path / "runs" / "cross" / "cross.jsonl")) == 1


def test_what_raises_is_a_failure_in_words(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    def broken(*_):
        raise TypeError("no such\nshape")

    monkeypatch.setattr(cross, "errors", broken)
    assert run("--encodings=ALiBi", "--patterns=Causal", "--dtypes=float32") == 1
    assert "ALiBi() × Causal(), float32: TypeError: no such shape" in capsys.readouterr().out


def test_double_precision_is_on_for_float64_alone(monkeypatch: pytest.MonkeyPatch):
    found = {}

    def noted(encoding, pattern, dtype):
        found[dtype] = jax.config.read("jax_enable_x64")
        return {"dense": 0.0}

    monkeypatch.setattr(cross, "errors", noted)
    assert run("--encodings=ALiBi", "--patterns=Causal") == 0
    assert found == {"float64": True, "float32": False}
    assert not jax.config.read("jax_enable_x64")


def test_an_example_of_each_class_unless_encodings_are_named():
    assert [type(e) for e in cross.parse_encodings("")] == list(dict.fromkeys(type(e) for e in ALL))
    assert all(e in ALL for e in cross.parse_encodings(""))
    assert cross.parse_encodings("all") == list(ALL)
    assert [repr(e) for e in cross.parse_encodings("RoPE; NoPE")] == ["RoPE(base=10000.0)", "NoPE()"]
    assert cross.parse_patterns("") == list(attention.ALL)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--encodings=Alibi2",), "unknown encoding 'Alibi2'. Did you mean ALiBi?"),
        (("--encodings=nowhere.py:Mine",), "nowhere.py"),
        (("--encodings=RoPE(rotary_dim=32)",), "rotary_dim=32 exceeds head_dim=16"),
        (("--patterns=Causal; Window",), "unknown pattern 'Window'."),
        (("--patterns=SlidingWindow(window=0)",), "window=0 must be at least 1"),
        (("--dtypes=float16",), "--dtypes='float16' is not allowed."),
        (("--dtypes=",), "nothing to measure; --dtypes takes float64, float32"),
        (("RoPE",), "unexpected argument 'RoPE'; name encodings with --encodings="),
        (("--pattern=Causal",), "Unknown command line flag 'pattern'"),
        (("--workdir=/dev/null/x",), "Not a directory"),
        (("--markdown=/dev/null/page.md",), "File exists"),
    ],
)
def test_bad_input_is_refused_in_one_line(argv: tuple[str, ...], message: str, capsys: pytest.CaptureFixture):
    assert run(*argv) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert printed.out == ""


def test_help_is_the_command_s_own(capsys: pytest.CaptureFixture):
    assert run("--help") == 0
    assert "--encodings=all --markdown=docs/patterns_table.md" in capsys.readouterr().out
