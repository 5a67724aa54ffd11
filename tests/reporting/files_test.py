"""Files of records are whole or not there, come back as they were written, and are read without jax."""

import subprocess
import sys
from pathlib import Path

import pytest

from ropelab.reporting.files import read_csv, write, write_csv, write_json
from ropelab.reporting.perplexity_table import by_length, layout
from tests.reporting.samples import records

MODULES = ("files", "perplexity_table", "perplexity_figure", "swap_report")


def test_a_csv_comes_back_as_it_was(tmp_path: Path) -> None:
    """Arms have commas, brackets and quotes in their names."""
    rows = [{"arm": 'RoPE(pairing="half"), twice', "length": 24, "nll": 2.5}, {"arm": "ä\nb", "length": 80, "nll": 0.1}]
    path = write_csv(tmp_path / "deep" / "results.csv", rows)
    assert read_csv(path) == [{key: str(value) for key, value in row.items()} for row in rows]
    table = layout(read_csv(write_csv(path, records())), by_length(records()))
    assert table == layout(records(), by_length(records()))


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "report.md", "before")
    with pytest.raises(TypeError):
        write_json(path, object())
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_reporting_starts_neither_jax_nor_models() -> None:
    """Records are read on machines that have no accelerator and in processes that must not take it."""
    imports = ", ".join(f"ropelab.reporting.{name}" for name in MODULES)
    check = f"import sys, {imports}; print(sorted({{'jax', 'flax', 'ropelab.models'}} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
