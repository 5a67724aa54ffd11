"""The decoding experiment on a tiny model: what per-sequence scaling leaves, and what per-query scaling does not."""

from pathlib import Path

import pytest

from ropelab.cli import decoding
from ropelab.reporting.run_files import read_records
from tests.cli import tiny_run

DYNAMIC = "DynamicNTK(factor=2.0, original_length=32)"


def run(folder: Path, **changes: object) -> int:
    fields = {"model": folder / "model", "text": folder / "text.txt", "encodings": DYNAMIC, "first": 32, "length": 80}
    argv = [f"--config.{name}={value}" for name, value in (fields | changes).items()]
    return decoding.main(["decoding", f"--workdir={folder / 'out'}", *argv])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_run.place(tmp_path_factory.mktemp("decoding"))
    assert run(folder) == 0
    return folder


def test_per_query_decodes_to_its_full_forward_and_per_sequence_does_not(folder: Path) -> None:
    records = read_records(folder / "out")
    assert len(records) == 9
    apart = {record.variant: record.mean for record in records if record.metric == "largest_difference"}
    (sequence,) = (d for arm, d in apart.items() if "original_length=32" in arm and "per=" not in arm)
    (query,) = (d for arm, d in apart.items() if "per='query'" in arm)
    assert apart["unchanged"] < 1e-4
    assert query < 1e-4
    assert sequence > 1e-2
    assert all((r.count, r.first, r.last) == (48, 32, 80) and r.protocol.weights for r in records)


def test_the_report_has_the_table_and_the_command(folder: Path) -> None:
    report = (folder / "out" / "report.md").read_text()
    assert "| variant | full forward | decoded |" in report
    assert "python -m experiments.decoding" in report
    assert {p.name for p in (folder / "out").iterdir()} >= {"receipts.json", "config.json", "per_token.npz"}


def test_what_was_measured_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ropelab.evaluation.by_position.decoded_nll", lambda *_: pytest.fail("measured again"))
    monkeypatch.setattr("ropelab.evaluation.by_position.document_nll", lambda *_, **__: pytest.fail("measured again"))
    assert run(folder) == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [({"encodings": "RoPE()"}, "does not depend on the length"), ({"first": 80}, "config.first=80")],
)
def test_bad_input_is_refused(folder: Path, change: dict, named: str, capsys: pytest.CaptureFixture) -> None:
    assert run(folder, **change) == 2
    assert named in capsys.readouterr().err
