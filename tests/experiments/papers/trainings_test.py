"""Commands that measure trainings in a folder, on models that were never trained: what is measured is the library's."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.papers.lex import resolution
from experiments.papers.pi import kmax
from ropelab.attention.patterns import BlockwiseCausal, Causal
from ropelab.data.held_out import load_held_out
from ropelab.data.settings import DataSettings
from ropelab.encodings import PI, NoPE, RoPE, XPos
from ropelab.evaluation import attention_resolution
from ropelab.evaluation.effective_context import k_max
from ropelab.lab import load
from ropelab.reporting.run_files import read_records
from ropelab.training.plan import Held
from tests.evaluation.squares import squares
from tests.training.tiny import MODEL, tiny_plan, untrained

NEEDLE = DataSettings(source="Needle(symbols=8, told=1, values=4)")


def run(folder: Path, **changes: Any) -> Path:
    """A finished run of one step."""
    untrained(tiny_plan(steps=1, **changes), folder)
    row = {"step": 1, "pattern": "Causal()", "length": 16, "nll": 1.0, "perplexity": 2.7, "tokens": 256}
    (folder / "evaluations.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def test_resolution_is_of_the_pairs_that_are_seen(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    held = Held(patterns=(Causal(), BlockwiseCausal(block=8)), lengths=(16,), tokens=64)
    for name, encoding in {"rope": RoPE(base=100.0), "xpos": XPos(base=100.0, scale_base=8), "nope": NoPE()}.items():
        run(tmp_path / f"{name}-0", encoding=encoding, held=held)
    arguments = ("--lengths=16,32", "--texts=2", "--sinks=1")
    assert resolution.main(["resolution", f"--workdir={tmp_path}", *arguments]) == 0
    found = {(r.variant, r.length, r.metric): r for r in read_records(tmp_path / "resolution.jsonl")}
    text = load_held_out(tiny_plan().data, length=32, tokens=64, block=32).tokens
    for arm, pattern in (("xpos", Causal()), ("xpos + BlockwiseCausal", BlockwiseCausal(block=8))):
        each = list(squares(load(tmp_path / "xpos-0").swap(pattern=pattern).model, text, 32))
        s, p = (np.stack([layer[i] for layer in each])[..., 1:, 1:] for i in (0, 1))
        pairs = [s.diagonal(-n, 3, 4)[p.diagonal(-n, 3, 4) > 0] for n in range(31)]
        wanted = [own.mean() for own in pairs if own.size]
        assert len(wanted) == (31 if arm == "xpos" else 8), "half a block before one's own is seen at most"
        record = found[arm, 32, "resolution"]
        # the mean of the texts' means; every text and head sees the same pairs
        assert record.value == pytest.approx(attention_resolution(wanted), rel=1e-4)
        assert (record.count, record.seed) == (2, 0)
        assert (record.deviation or 0) >= 0
    assert found["rope", 32, "expected"].mean > found["nope", 32, "expected"].mean
    page = (tmp_path / "resolution.md").read_text()
    assert "at 2 times xpos > rope" in page
    assert page.count("RoPE's scores oscillate more than xPos's") == 1
    assert "holds" in capsys.readouterr().out
    assert (tmp_path / "resolution.png").read_bytes().startswith(b"\x89PNG")
    with np.load(tmp_path / "resolution.npz") as curves:
        assert {"rope-0", "xpos + BlockwiseCausal-0", "nope-0.expected"} <= set(curves)


def test_k_max_is_asked_of_every_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run(tmp_path / "base-0", data=NEEDLE)
    extended = {"model": str(tmp_path / "base-0"), "length": 32, "data": NEEDLE}
    run(tmp_path / "pi2-0", encoding=PI(base=100.0, factor=2.0), **extended)
    command = ["kmax", f"--workdir={tmp_path}", "--trials=2", "--distances=4"]
    assert kmax.main(command) == 0
    found = [r for r in read_records(tmp_path / "kmax.jsonl") if (r.evaluation, r.metric) == ("kmax", "score")]
    asked: dict[tuple, dict[int, float]] = {(r.variant, r.step, r.length): {} for r in found}
    for r in found:
        asked[r.variant, r.step, r.length][r.distance] = r.mean
    assert set(asked) == {("base", 1, 16), ("base", 1, 32), ("pi2", 0, 32), ("pi2", 1, 32)}
    assert set(asked["base", 1, 16]) == {4, 8, 12, 16}
    assert asked["pi2", 0, 32] == asked["pi2", 1, 32], "its one step has changed nothing"
    page = capsys.readouterr().out
    reached = k_max(asked["pi2", 1, 32])
    assert f"| pi2 | 32 | {reached} | {reached} |" in page
    assert f"{'holds' if reached >= 32 else 'DOES NOT HOLD'}: pi2 reaches 32" in page
    written = (tmp_path / "kmax.jsonl").read_bytes()
    assert kmax.main(command) == 0
    assert (tmp_path / "kmax.jsonl").read_bytes() == written


def test_what_cannot_be_measured_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for main in (resolution.main, kmax.main):
        assert main(["it"]) == 2
        assert main(["it", f"--workdir={tmp_path}"]) == 2
        assert "train first" in capsys.readouterr().err
    run(tmp_path / "base-0", model=MODEL)
    assert kmax.main(["kmax", f"--workdir={tmp_path}"]) == 2
    assert "was trained on 'Copy(symbols=16)', which asks at no distance" in capsys.readouterr().err
    assert resolution.main(["resolution", f"--workdir={tmp_path}", "--lengths=5"]) == 2
    assert "--sinks=4 leave no two distances of 5 tokens" in capsys.readouterr().err
