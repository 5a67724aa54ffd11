"""The page of concepts: its code, run as it stands, in a tiny model in the place of SmolLM2."""

import re
from pathlib import Path

import pytest

from ropelab import lab
from tests.models import tiny

PAGE = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_every_block_runs_after_those_before_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    small = tiny.lab()
    monkeypatch.setattr(lab, "load", lambda name: small)
    space: dict = {}
    for block in BLOCKS:
        exec(block, space)
    assert "differs from the model as loaded from position" in capsys.readouterr().out


def test_it_is_read_in_one_sitting():
    assert len(PAGE.splitlines()) <= 150
    assert len(BLOCKS) >= 6
