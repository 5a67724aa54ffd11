"""PI's figure 2 by command: the table, the verdicts, the picture; small sizes, and one message for bad ones."""

import csv
from pathlib import Path

import pytest

from experiments.papers.pi import interpolation


def run(*arguments: str) -> int:
    return interpolation.main(["interpolation", *arguments])


def test_the_figure_and_its_verdicts(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(f"--workdir={tmp_path}", "--seeds=2") == 0
    printed = capsys.readouterr().out
    assert "- holds: in float64 scores beyond are more than 100 times those inside (2 of 2)" in printed
    assert "- holds: between whole distances scores stay within theorem 2.1's bound (8 of 8)" in printed
    with (tmp_path / "interpolation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert all(float(row["off the line"]) <= float(row["bound of theorem 2.1"]) for row in rows)
    assert (tmp_path / "interpolation.png").read_bytes().startswith(b"\x89PNG")
    assert "--seeds=2" in (tmp_path / "report.md").read_text()


def test_bad_input_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run() == 2
    assert "--workdir is missing" in capsys.readouterr().err
    assert run(f"--workdir={tmp_path}", "--head_dim=7") == 2
    assert "head_dim=7 must be even" in capsys.readouterr().err
