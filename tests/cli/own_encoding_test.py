"""A swap experiment on an encoding of a user's own file: named as it was asked for, proven, and never stale."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.tiny_run import arguments, per_token, place, results, run

MINE = """
from ropelab.encodings import RoPE
from ropelab.spec import spec


@spec
class Mine(RoPE):
    a: float

    def frequencies(self, head_dim, length):
        inv_freq, amplitude = RoPE.frequencies(self, head_dim, length)
        return self.a * inv_freq, amplitude
"""
ARMS = ["mine.py:Mine(a=0.5)", "mine.py:LogN(inner=Mine(a=0.5), original_length=8) + SlidingWindow(window=9)"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return place(tmp_path)


def test_it_is_an_arm_like_any_other(folder: Path):
    assert run(arguments(folder, folder / "out", encodings="; ".join(ARMS))) == 0
    assert list(dict.fromkeys(row["variant"] for row in results(folder / "out")))[2:] == ARMS
    receipts = json.loads((folder / "out" / "receipts.json").read_text())
    assert receipts[ARMS[0]]["encoding"] == "Mine(base=10000.0, a=0.5)"
    assert receipts[ARMS[0]]["first_position"] == 1
    page = (folder / "out" / "report.md").read_text()
    assert all(arm in page for arm in ARMS)


def test_it_equals_the_catalogue_s_where_it_says_the_same(folder: Path):
    assert run(arguments(folder, folder / "out", encodings=f"{ARMS[0]}; PI(factor=2.0)")) == 0
    losses = per_token(folder / "out")
    np.testing.assert_allclose(losses[f"{ARMS[0]} @ 80"], losses["PI(factor=2.0) @ 80"], atol=1e-5)


def test_an_edited_file_is_measured_anew(folder: Path):
    """Its spec is as it was, so the measurements that are kept must know its text."""
    command = arguments(folder, folder / "out", encodings=ARMS[0], lengths="16")
    assert run(command) == 0
    before = per_token(folder / "out")[f"{ARMS[0]} @ 16"]
    assert run(command) == 0
    np.testing.assert_array_equal(per_token(folder / "out")[f"{ARMS[0]} @ 16"], before)
    (folder / "mine.py").write_text(MINE.replace("return self.a", "return 0.5 * self.a"))
    assert run(command) == 0
    after = per_token(folder / "out")[f"{ARMS[0]} @ 16"]
    assert np.abs(after - before).max() > 1e-3


def test_one_that_changes_nothing_is_an_error(folder: Path, capsys: pytest.CaptureFixture):
    assert run(arguments(folder, folder / "out", encodings="mine.py:Mine(a=1)")) == 2
    assert "nothing was applied: with Mine(base=10000.0, a=1.0)" in capsys.readouterr().err


def test_a_file_that_cannot_be_imported_is_one_line(folder: Path, capsys: pytest.CaptureFixture):
    (folder / "mine.py").write_text("1 / 0\n")
    assert run(arguments(folder, folder / "out", encodings=ARMS[0])) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: mine.py cannot be imported: ZeroDivisionError at line 1: division by zero"
