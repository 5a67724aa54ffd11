"""The catalogue experiment on a tiny model: a row and a receipt for each encoding, or one message."""

import csv
import json
from pathlib import Path

import pytest

from experiments.papers.catalogue import table
from experiments.papers.catalogue.config import ENCODINGS
from ropelab import encodings
from tests.cli import tiny_run

SPECS = "RoPE(); T5Bias(); Layers((RoPE(), NoPE()))"


def run(folder: Path, **changes: object) -> int:
    fields = {
        "model": folder / "model",
        "text": folder / "text.txt",
        "encodings": SPECS,
        "length": 40,
        "prompt": "The ",
    }
    argv = [f"--config.{name}={value}" for name, value in (fields | changes).items()]
    return table.main(["catalogue", f"--workdir={folder / 'out'}", *argv])


def test_each_encoding_gets_a_row_and_a_receipt(tmp_path: Path) -> None:
    folder = tiny_run.place(tmp_path)
    assert run(folder, max_new_tokens=3) == 0
    with (folder / "out" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    receipts = json.loads((folder / "out" / "receipts.json").read_text())
    assert [row["encoding"] for row in rows] == list(receipts) == SPECS.split("; ")
    assert rows[0]["statement"] == "the model as loaded"
    assert all(float(row["largest_logit_difference"]) > 0 for row in rows[1:])
    assert "| `T5Bias()` |" in (folder / "out" / "report.md").read_text()


def test_an_encoding_that_does_not_fit_stops_the_run(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tiny_run.place(tmp_path)
    assert run(folder, encodings="ClippedRoPE(clipped=20)") == 2
    assert "clipped=20 exceeds the 8 pairs" in capsys.readouterr().err


def test_the_configuration_names_every_encoding_there_is() -> None:
    """SmolLM2's heads have 64 dimensions, which each of them must accept."""
    named = [encodings.parse(spec).inherit(encodings.RoPE(base=1e5)) for spec in ENCODINGS]
    for encoding in named:
        encoding.check(64)
    assert {type(e) for e in named} == {type(e) for e in encodings.ALL}
