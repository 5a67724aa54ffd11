"""The section of a swap says which variants beat both baselines, what was applied, and how fast it was."""

import json
from pathlib import Path

import numpy as np

from ropelab.reporting import files
from ropelab.reporting.page import Facts, Table
from ropelab.reporting.swap_section import is_swap, read_swap, swap_section, verdict
from tests.reporting.samples import VARIANTS, receipts, record, records


def nll(variant: str, value: float):
    return record(variant, "nll", 80, value)


def test_the_verdict_compares_with_both_baselines() -> None:
    own = [nll(v, value) for v, value in zip(VARIANTS, (10.8198, 2.5649, 2.5055), strict=True)]
    text = verdict(own)
    assert text.startswith("At 80 tokens the unchanged model has a mean NLL of 10.8198. Below it: YaRN")
    assert "chopped text (2.5649): YaRN(factor=2.0, original_length=32) (2.5055)." in text
    assert verdict([*own[:2], nll(VARIANTS[2], 99.0)]).count("none") == 2
    assert verdict(own[:1]).endswith("10.8198.")


def test_a_folder_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    files.write_records(tmp_path / "records.jsonl", records())
    losses = {f"{v} @ 80": np.ones((1, 79), np.float32) for v in VARIANTS}
    np.savez(tmp_path / "per_token.npz", protocol=np.array("noise"), **losses)  # type: ignore[arg-type]
    (tmp_path / "receipts.json").write_text(json.dumps(receipts()))
    assert is_swap(tmp_path)
    assert [r.replace(sources=()) for r in read_swap(tmp_path)] == records()
    section = swap_section([tmp_path])
    tables = {part.title: part for part in section.parts if isinstance(part, Table)}
    assert tables["Perplexity by length"].rows[0][1].sources == ("records.jsonl:1",)
    applied = {row[0].text: [cell.text for cell in row[1:]] for row in tables["What was applied"].rows}
    assert applied["max logit difference"] == ["0", "1.23457"]
    assert applied["statement"][0] == "the model as loaded"
    assert applied["first position"] == ["–", "1"]
    (speed,) = (part for part in section.parts if isinstance(part, Facts))
    assert speed.pairs[0] == ("unchanged", "1234 tokens per second")
