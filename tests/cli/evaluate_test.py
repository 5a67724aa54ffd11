"""The evaluate command: records that say what they are, the same on a second run, none measured twice."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ropelab.cli import evaluate
from ropelab.evaluation import attention_resolution, measured_scores
from ropelab.evaluation.evals import perplexity
from ropelab.evaluation.perplexity import score_windows
from ropelab.evaluation.record import Record
from ropelab.lab import load, tokens_of
from ropelab.reporting.run_files import read_records
from tests.cli import tiny_run

PI = "PI(factor=2.0)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tiny_run.place(tmp_path_factory.mktemp("evaluate"))
    (place / "text.txt").write_text("".join(chr(32 + (7 * i * i + i) % 95) for i in range(2000)))
    return place


def run(folder: Path, *arguments: str) -> int:
    common = (f"--model={folder / 'model'}", f"--text={folder / 'text.txt'}", f"--workdir={folder / 'out'}")
    return evaluate.main(["evaluate", *common, *arguments])


def records(folder: Path) -> list[Record]:
    return read_records(folder / "out")


def test_every_number_is_the_librarys_and_says_how_it_was_made(folder: Path, capsys: pytest.CaptureFixture) -> None:
    evals = "perplexity(tokens=96, stride=16, last=4), resolution(trials=2, sinks=1), attention, heads"
    assert run(folder, f"--encodings={PI}", f"--evals={evals}", "--lengths=48,32") == 0
    lab = load(folder / "model")
    tokens = tokens_of(lab, (folder / "text.txt").read_text())
    found = {(r.variant, r.evaluation, r.metric, r.length): r for r in records(folder) if r.layer is None}
    for arm, model in (("unchanged", lab.model), (PI, lab.swap(PI).model)):
        for length in (32, 48):
            slid = score_windows(model, tokens[:96], length=length, stride=16)
            nll = found[arm, "perplexity", "nll", length]
            assert (nll.value, nll.count) == (pytest.approx(slid.by_tokens.mean, rel=1e-6), 95)
            windows = found[arm, "perplexity", "nll_by_windows", length]
            assert windows.value == pytest.approx(math.log(slid.by_windows), rel=1e-6)
            assert found[arm, "perplexity", "nll_tail", length].count == 4 * len(slid.windows)
            texts = np.stack([tokens[:length], tokens[tokens.size // 2 :][:length]])
            wanted = attention_resolution(measured_scores(model, texts, sinks=1).mean)
            assert found[arm, "resolution", "resolution", length].value == pytest.approx(wanted, rel=1e-5)
            assert 0 < found[arm, "attention", "spread", length].value < 1
            assert found[arm, "heads", "stability", length].value <= 1
    assert all(r.protocol.weights and r.seed == 0 for r in found.values())
    assert "stride 16" in found["unchanged", "perplexity", "nll", 32].protocol.line()
    printed = capsys.readouterr().out
    assert "Perplexity, last 4 tokens" in printed
    assert "tokens scored: 95 at 32, 95 at 48" in " ".join(printed.split())
    page = (folder / "out" / "report.md").read_text()
    assert f"{math.exp(found[PI, 'perplexity', 'nll', 48].value):.4g}" in page
    assert "--lengths=48,32" in page


def test_questions_have_depths_intervals_and_a_heat_map(folder: Path) -> None:
    evals = "passkey(trials=2, depths=2), niah_single_1(trials=1, depths=1)"
    assert run(folder, f"--evals={evals}", "--lengths=700,900") == 0
    found = records(folder)
    depths = {(r.length, r.depth): r for r in found if (r.evaluation, r.metric) == ("passkey", "score")}
    assert set(depths) == {(n, d) for n in (700, 900) for d in (0.0, 1.0)}
    assert all(r.count == 2 and r.value == 0.0 for r in depths.values()), "random weights know no passkey"
    nll = [r.mean for r in found if (r.evaluation, r.metric) == ("passkey", "nll")]
    assert all(0.5 < value < 20 for value in nll)
    page = (folder / "out" / "report.md").read_text()
    assert "| passkey | unchanged | 0.00 [0.00, 0.49] | 0.00 [0.00, 0.49] |" in page, "four trials at each length"
    assert "| niah_single_1 | unchanged | 0.00 [0.00, 0.79] |" in page, "in the same table"
    assert "| unchanged | passkey | 0 of 900 | 0 | 0 | 900 |" in page, "0.85 of a base score of nothing is nothing"
    assert (folder / "out" / "heatmap.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "out" / "records.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(found)


def test_a_second_run_measures_nothing_and_writes_the_same_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    assert run(folder, f"--encodings={PI}", "--evals=perplexity(tokens=64)", "--lengths=32") == 0
    calls, measure = [], perplexity.Perplexity.measure

    def counted(self: perplexity.Perplexity, context: Any, case: Any, advance: Any) -> Any:
        calls.append(case)
        return measure(self, context, case, advance)

    monkeypatch.setattr(perplexity.Perplexity, "measure", counted)
    assert run(folder, f"--encodings={PI}", "--evals=perplexity(tokens=64)", "--lengths=32,64") == 0
    assert [case.length for case in calls] == [64, 64], "32 is known of both arms"
    written = (folder / "out" / "records.jsonl").read_bytes()
    assert run(folder, f"--encodings={PI}", "--evals=perplexity(tokens=64)", "--lengths=32,64") == 0
    assert len(calls) == 2
    assert (folder / "out" / "records.jsonl").read_bytes() == written
    (folder / "out" / "measurements.jsonl").unlink()
    assert run(folder, f"--encodings={PI}", "--evals=perplexity(tokens=64)", "--lengths=32,64") == 0
    assert (folder / "out" / "records.jsonl").read_bytes() == written, "measured again, byte for byte"


def test_sharded_equals_unsharded(folder: Path) -> None:
    evals = "perplexity(tokens=64, stride=8), resolution(trials=2, sinks=1), attention, heads"
    found = []
    for where, sizes in (("one", ()), ("four", ("--fsdp=2", "--tensor=2"))):
        flags = (f"--encodings={PI}", f"--evals={evals}", "--lengths=32", f"--workdir={folder / where}", *sizes)
        assert run(folder, *flags) == 0
        found.append(read_records(folder / where))
    assert len(found[0]) == len(found[1]) > 20
    for one, four in zip(*found, strict=True):
        numbers = [(record.value, record.deviation or 0.0) for record in (one, four)]
        assert one.replace(value=None, deviation=None) == four.replace(value=None, deviation=None)
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-4, abs=1e-5), one.metric


def test_patterns_multiply_arms(folder: Path) -> None:
    flags = (f"--encodings={PI}; ALiBi() + SlidingWindow(window=8)", "--patterns=SlidingWindow(window=16)")
    assert run(folder, *flags, "--evals=perplexity(tokens=64)", "--lengths=64") == 0
    arms = list(dict.fromkeys(r.variant for r in records(folder)))
    window = "SlidingWindow(window=16)"
    assert arms == ["unchanged", window, PI, "ALiBi() + SlidingWindow(window=8)", f"{PI} + {window}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--evals=perplexty",), "no evaluation 'perplexty'. Did you mean perplexity?"),
        (("--evals=perplexity(strid=4)",), "perplexity has no field 'strid'. Did you mean stride?"),
        (("--evals=passkey(trials=0)",), "passkey: trials=0 must be at least 1"),
        (("--evals=passkey, passkey",), "the evaluation 'passkey' is named twice"),
        (("--evals=",), "no evaluation is named"),
        (("--evals=ruler", "--lengths=64"), "niah_single_1 at 64 tokens, unchanged: NIAH() needs"),
        (("--evals=vt(distances=3)",), "is asked at no distance"),
        (("--evals=perplexity(stride=99)", "--lengths=32"), "stride=99 exceeds the length of 32"),
        (("--evals=perplexity(bos=True)", "--lengths=32"), "bos=True, and this model's tokenizer has no BOS token"),
        (("--evals=perplexity(bos=True, stride=32)", "--lengths=32"), "stride=32 exceeds the length of 31"),
        (("--evals=perplexity", "--lengths=9999"), "the text has 2000 tokens, and 1 pieces of 9999 are wanted"),
        (("--evals=longppl", "--lengths=64"), "has no token beyond short=4096"),
        (("--lengths=1",), "--lengths=1 must be integers"),
        (("--encodings=PI(factor=2.0); PI(factor=2)",), "are the same; leave one out"),
        (("--encodings=RoPE(base=10000.0)",), "the variants 'unchanged' and 'RoPE(base=10000.0)' are the same"),
        (("--fsdp=99",), "--fsdp=99 --tensor=1 need 99 devices; there are 8"),
        (("spare",), "unexpected argument 'spare'"),
    ],
)
def test_bad_input_is_one_message_before_anything_is_compiled(
    folder: Path, capsys: pytest.CaptureFixture, arguments: tuple[str, ...], message: str
) -> None:
    assert run(folder, *arguments) == 2
    assert message in capsys.readouterr().err
