"""Damaged and foreign records are refused with the file and the field, whatever is wrong with them."""

import json
from pathlib import Path

import numpy as np
import pytest

from ropelab.cli import report as command
from ropelab.reporting import run_files
from ropelab.reporting.report import report
from tests.reporting.report_test import evaluation
from tests.reporting.runs_on_disk import by_length, training


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    training(tmp_path / "rope-0", by_length({64: 4.0}), length=64)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("evaluations.jsonl", "null\n"),
        ("evaluations.jsonl", "{}\n"),
        ("evaluations.jsonl", '{"step": 10, "pattern": [], "length": 64, "perplexity": 4.0}\n'),
        ("evaluations.jsonl", '{"step": true, "pattern": "x", "length": 64, "perplexity": 4.0}\n'),
        ("evaluations.jsonl", '{"step": 10, "pattern": "x", "length": 1' + "0" * 400 + ', "perplexity": 4.0}\n'),
        ("evaluations.jsonl", "[" * 5000 + "\n"),
        ("metrics.jsonl", '{"step": 10, "loss": "x", "tokens": 64}\n'),
        ("metrics.jsonl", b"\xff\n"),
        ("starts.jsonl", "{}\n"),
        ("starts.jsonl", '{"command": 5, "ropelab": "", "jax": "", "devices": "", "processes": 1}\n'),
        ("plan.json", "{}"),
        ("plan.json", '{"settings": {"steps": 10}}'),
        ("plan.json", '{"settings": {"steps": "\\ud800"}}'),
        ("../manifest.json", '[{"name": 5, "command": []}]'),
        ("../manifest.json", '[{"name": "x", "command": [5]}]'),
        ("../manifest.json", '{"x": 1}'),
        ("../sweep.json", "[]"),
        ("../sweep.json", '{"command": null}'),
    ],
)
def test_a_damaged_file_of_a_training_is_named(name: str, text: str | bytes, runs: Path, capsys) -> None:
    path = runs / "rope-0" / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ValueError) as error:
        report([runs])
    assert type(error.value) is ValueError
    assert path.name in str(error.value)
    assert command.main(["report", f"--workdir={runs}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "no archive", "pickle", "axes", "name"])
def test_damaged_losses_are_named(damage: str, tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("arm,length,band,nll\nunchanged,64,all,1.0\n")
    path, values = tmp_path / "per_token.npz", np.zeros((1, 63), np.float32)
    arrays = {"pickle": np.array([{}], object), "axes": values[0]}
    np.savez(
        path, protocol=np.array("one"), **{f"unchanged @ {'x' if damage == 'name' else 64}": arrays.get(damage, values)}
    )
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= damage == "flip"
    path.write_bytes({"cut": raw[:-40], "empty": b"", "no archive": b"x" * 99}.get(damage, raw))
    with pytest.raises(ValueError, match=r"per_token\.npz"):
        report([tmp_path])


@pytest.mark.parametrize("row", ["unchanged,64,all", "unchanged,x,all,1.0", "unchanged,64,all,x"])
def test_a_damaged_table_is_named_with_its_line(row: str, tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(f"arm,length,band,nll\nunchanged,64,all,1.0\n{row}\n")
    np.savez(tmp_path / "per_token.npz", protocol=np.array("one"))
    with pytest.raises(ValueError, match=r"results\.csv, line 3"):
        report([tmp_path])


@pytest.mark.parametrize("found", [[], {"x": 5}, {"x": {"encoding": []}}, {"x": {"trained_length": "5"}}])
def test_damaged_receipts_are_named(found: object, tmp_path: Path) -> None:
    evaluation(tmp_path)
    (tmp_path / "receipts.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match=r"receipts\.json"):
        report([tmp_path])


def test_what_may_be_absent_is_none(tmp_path: Path) -> None:
    assert run_files.check_fields({}, {"depth": run_files.OPTIONAL_NUMBER}) == {"depth": None}
    assert run_files.check_fields({"x": 1, "depth": 0.5}, {"depth": run_files.OPTIONAL_NUMBER}) == {
        "x": 1,
        "depth": 0.5,
    }
