"""The page that walks through adding an evaluation: its code, run as it stands, on a tiny model and a short text."""

import re
import sys
from pathlib import Path

import pytest

from ropelab import lab
from ropelab.data import text
from ropelab.evaluation.evals import registry
from tests.cli import tiny_run
from tests.models import tiny

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add_an_evaluation.md").read_text()
QUESTIONS, MEASURE, RUN = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder, with both files saved as the page says; a small model and text in the place of the large."""
    for name, block in (("my_questions", QUESTIONS), ("my_measure", MEASURE)):
        (tmp_path / f"{name}.py").write_text(block)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    tiny_run.place(tmp_path)
    small, short = tiny.lab(tokenizer=True), text.read_text(str(tmp_path / "text.txt"))
    monkeypatch.setattr(lab, "load", lambda name: small)
    monkeypatch.setattr(text, "read_text", lambda name: short)
    return tmp_path


def test_the_evaluations_are_measured_and_kept(folder: Path, capsys: pytest.CaptureFixture):
    space: dict = {}
    exec(RUN, space)
    records = space["records"]
    assert {(r.evaluation, r.metric) for r in records} == {("register", "score"), ("register", "nll"), ("gain", "gain")}
    assert {r.variant for r in records} == {"unchanged", "NTK"}
    assert {r.depth for r in records if r.evaluation == "register"} == {0.0, 0.5, 1.0}
    assert {r.count for r in records if r.evaluation == "gain"} == {2 * 256 // 4, 2 * 512 // 4}
    assert "gain" in capsys.readouterr().out
    kept = {path: path.stat().st_mtime_ns for path in (folder / "runs" / "mine").iterdir()}
    exec(RUN, space := {})
    assert space["records"] == records
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs" / "mine").iterdir()} == kept


def test_the_command_line_does_not_know_it_as_the_page_says():
    with pytest.raises(ValueError, match="'Gain'"):
        registry.parse("Gain(trials=2)")
    assert "cannot be named on a command line" in PAGE


def test_the_files_it_names_exist():
    for path in re.findall(r"`(ropelab/[\w/]+(?:\.py|/))`", PAGE):
        assert (ROOT / path).exists(), path
    assert "BY_NAME" in vars(registry)
