"""Files of records are whole or not there, come back as they were written, and are read without jax."""

import subprocess
import sys
from pathlib import Path

import pytest

from ropelab.reporting.files import read_csv, write, write_csv, write_json, write_records
from ropelab.reporting.run_files import read_records
from tests.reporting.samples import records

MODULES = ("files", "report", "tables", "page_files", "charts.perplexity", "charts.heat_maps")


def test_a_csv_comes_back_as_it_was(tmp_path: Path) -> None:
    """Arms have commas, brackets and quotes in their names."""
    rows = [{"arm": 'RoPE(pairing="half"), twice', "length": 24, "nll": 2.5}, {"arm": "ä\nb", "length": 80, "nll": 0.1}]
    path = write_csv(tmp_path / "deep" / "results.csv", rows)
    assert read_csv(path) == [{key: str(value) for key, value in row.items()} for row in rows]


def test_records_come_back_as_they_were_and_have_their_protocol_once(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    own = [*records(), records()[0].replace(value=float("inf")), records()[0].replace(value=None, deviation=0.5)]
    assert [one.name for one in write_records(path, own)] == ["records.protocols.json", "records.csv", "records.jsonl"]
    found = read_records(tmp_path)
    assert [record.replace(sources=()) for record in found] == own
    assert found[1].sources == ("records.jsonl:2",)
    assert len(read_csv(path.with_suffix(".csv"))) == len(own)
    path.with_name("records.protocols.json").unlink()
    with pytest.raises(ValueError, match=r"records\.jsonl, line 1, is damaged: protocol="):
        read_records(tmp_path)


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
