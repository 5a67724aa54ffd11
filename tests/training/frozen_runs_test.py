"""Folders of runs that an earlier version wrote still load and resume (tools/golden/make_runs.py made them)."""

import json
import tarfile
from pathlib import Path

import jax
import numpy as np
import pytest

import ropelab
from ropelab.encodings import RoPE, YaRN
from ropelab.training import trainer
from ropelab.training.distributed import make_mesh
from ropelab.training.state import read_config, summarize_run
from ropelab.training.trainer import train

ARCHIVE = Path(__file__).parents[1] / "golden" / "runs.tar.gz"
TOKENS_BT = (np.arange(12)[None] * 7 + 65) % 256
NLL = {"first": 5.547029495239258, "second": 5.551585674285889}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the runs `first` and `second`, and the texts of the second, as the working directory."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trainer, "make_mesh", lambda shape: make_mesh(shape, jax.devices()[:1]))  # as they were begun
    return tmp_path


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_plan_of_a_frozen_run_is_read(folder):
    first, second = summarize_run(folder / "first"), summarize_run(folder / "second")
    assert (first.step, second.step) == (3, 3)
    assert first.wiring.encoding == RoPE(base=100.0)
    assert second.wiring.encoding == YaRN(factor=2.0, original_length=16).inherit(RoPE(base=100.0))
    assert second.weights == ""
    assert read_config(folder / "first").stages()[1].length == 24
    assert read_config(folder / "first").optimizer.warmup == 2


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_frozen_run_loads(folder, name):
    lab = ropelab.load(name)
    assert np.asarray(lab.nll(TOKENS_BT)).mean() == pytest.approx(NLL[name], abs=1e-4)


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_frozen_run_resumes_where_it_was(folder, name):
    metrics, evaluations = (rows(folder / name / f"{table}.jsonl") for table in ("metrics", "evaluations"))
    train(read_config(folder / name), folder / name, show=False)
    assert len(metrics) == 6
    for table, expected in {"metrics": metrics, "evaluations": evaluations}.items():
        for now, before in zip(rows(folder / name / f"{table}.jsonl"), expected, strict=True):
            assert now.keys() == before.keys()
            for key, value in before.items():
                assert now[key] == (pytest.approx(value, rel=1e-4) if isinstance(value, float) else value), key
