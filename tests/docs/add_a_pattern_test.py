"""The page that walks through adding a pattern: its code, run as it stands."""

import re
import sys
from pathlib import Path

import pytest

from ropelab import attention, lab
from ropelab.attention import Pattern
from tests.models import tiny

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add_a_pattern.md").read_text()
FILE, CHECK, SWAP = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """What the blocks share, in a folder with the file saved as the page says."""
    (tmp_path / "my_pattern.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_pattern", raising=False)
    return {}


def test_the_pattern_passes_the_check_and_is_applied(
    space: dict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    small = tiny.lab()
    monkeypatch.setattr(lab, "load", lambda name: small)
    exec(CHECK, space)
    exec(SWAP, space)
    assert "differs from" in capsys.readouterr().out
    assert isinstance(space["pattern"], Pattern)


def test_a_reach_that_claims_too_much_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    faulty = FILE.replace("return k_low <= q_high, all_near", "return self.near.reach(q_low, q_high, k_low, k_high)")
    assert faulty != FILE
    (tmp_path / "my_pattern.py").write_text(faulty)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_pattern", raising=False)
    with pytest.raises(AssertionError):
        exec(CHECK, {})


def test_the_command_line_does_not_know_it_as_the_page_says():
    with pytest.raises(ValueError, match="'Strided'"):
        attention.parse("Strided(stride=6)")
    assert "cannot be named on a command line" in PAGE


def test_the_hooks_and_files_it_names_exist():
    for hook in re.findall(r"^- \*\*`(\w+)`", PAGE, re.MULTILINE):
        assert hasattr(Pattern, hook), hook
    for name in ("shifted_sparse.py", "dilated.py", "__init__.py"):
        assert (ROOT / "ropelab" / "attention" / "patterns" / name).is_file()
