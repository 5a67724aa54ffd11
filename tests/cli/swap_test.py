"""A swap experiment from the command line to the page: complete, consistent, and never measured twice."""

import fcntl
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from ropelab.cli import train
from ropelab.cli.variants import label_variants
from ropelab.evaluation.record import Protocol
from ropelab.models.module import Model
from tests.cli.tiny_run import ARMS, LENGTHS, OUTPUTS, WINDOWS, arguments, numbers, per_token, place, results, run
from tests.models import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return place(tmp_path_factory.mktemp("swap"))


@pytest.fixture(scope="module")
def done(folder: Path) -> Path:
    """The workdir of a run that went through."""
    assert run(arguments(folder, folder / "done")) == 0
    return folder / "done"


def test_every_output_is_there_and_whole(done: Path) -> None:
    assert {path.name for path in done.iterdir()} == {*OUTPUTS, "lock"}
    assert (done / "perplexity.png").read_bytes().startswith(b"\x89PNG")
    assert (done / "perplexity.pdf").read_bytes().startswith(b"%PDF")
    assert json.loads((done / "config.json").read_text())["windows"] == WINDOWS


def test_the_arms_are_the_baselines_and_then_what_was_asked_for(done: Path) -> None:
    assert list(dict.fromkeys(row["variant"] for row in results(done))) == ARMS
    assert list(per_token(done)) == ["protocol", *(f"{arm} @ {n}" for arm in ARMS for n in LENGTHS)]
    receipts = json.loads((done / "receipts.json").read_text())
    assert list(receipts) == [ARMS[0], *ARMS[2:]]  # the chopped arm is the unchanged model
    assert all(receipts[arm]["first_position"] is not None for arm in ARMS[2:])


def test_the_table_is_computed_from_the_tokens(done: Path) -> None:
    """Position p is entry p - 1 of the losses; every band is recomputed here from the archive."""
    archive = per_token(done)
    for row in numbers(done):
        nll = archive[f"{row['variant']} @ {row['length']}"]
        assert nll.shape == (WINDOWS, int(row["length"]) - 1)
        first, last = int(row["first"] or 0), int(row["last"] or row["length"])
        band = nll[:, max(first - 1, 0) : last - 1].astype(np.float64)
        assert int(row["count"]) == band.size
        assert float(row["value"]) == pytest.approx(band.mean(), abs=1e-6)
    own = [row for row in numbers(done) if row["variant"] == "ALiBi" and row["length"] == "80"]
    assert [(row["metric"], row["first"], row["last"]) for row in own] == [
        ("nll", "", ""), ("nll", "0", "16"), ("nll", "16", "32"), ("nll", "32", "80"), ("nll_tail", "72", "80"),
    ]  # fmt: skip


def test_the_tokens_are_those_of_the_text_under_each_model(done: Path, folder: Path) -> None:
    """Recomputed through the public surface from the text itself."""
    lab = tiny.lab(tokenizer=True)
    assert lab.tokenizer is not None
    ids = np.asarray(lab.tokenizer.encode((folder / "text.txt").read_text()))[:160].reshape(2, 80)
    np.testing.assert_allclose(per_token(done)["unchanged @ 80"], lab.nll(ids), atol=1e-4)
    chopped = per_token(done)["unchanged, chopped at 32 @ 80"]
    np.testing.assert_allclose(chopped[:, 31:62], lab.nll(ids[:, 31:63]), atol=1e-4)


def test_every_number_names_its_protocol(done: Path) -> None:
    (key,) = {row["protocol"] for row in results(done)}
    line = Protocol(**json.loads((done / "records.protocols.json").read_text())[key]).line()
    assert f"{WINDOWS} windows each of 16 and 80 tokens" in line
    assert "30, 158 tokens scored" in line
    assert line in (done / "report.md").read_text()
    assert str(per_token(done)["protocol"]) == line


def test_the_page_has_the_command_that_does_it_again(done: Path, folder: Path) -> None:
    """Quoted for a shell, the quotes inside of specs included."""
    page = (done / "report.md").read_text()
    line = next(line for line in page.splitlines() if "`python -m experiments.swap" in line)
    command = line.split("`")[1]
    assert shlex.split(command)[3:] == arguments(folder, done)


def test_a_second_call_measures_nothing(done: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, table = kept(done), (done / "records.csv").read_bytes()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(Model, "nll_in_parts", never)
    assert run(arguments(folder, done)) == 0
    assert kept(done) == before
    assert (done / "records.csv").read_bytes() == table
    # other bands are other sums of the same tokens
    assert run([*arguments(folder, done, edges="40", last=4), "--accept=edges,last"]) == 0
    assert run([*arguments(folder, done), "--accept=edges,last"]) == 0


def kept(workdir: Path) -> list[str]:
    """The lines of the store."""
    return (workdir / "measurements.jsonl").read_text().splitlines()


def test_a_changed_text_is_measured_anew(done: Path, folder: Path) -> None:
    before, numbers_before = set(kept(done)), numbers(done)
    other = folder / "other.txt"
    other.write_text((folder / "text.txt").read_text().replace("line", "word"))
    changes = {"text": other, "encodings": "ALiBi", "lengths": "80"}
    accept = [f"--accept={','.join(changes)}"]
    assert run(arguments(folder, done, **changes) + accept) == 0
    assert set(kept(done)) > before
    assert list(dict.fromkeys(row["variant"] for row in results(done))) == [*ARMS[:2], "ALiBi"]
    assert run(arguments(folder, done) + accept) == 0
    assert numbers(done) == numbers_before


def contents(workdir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in workdir.iterdir() if path.is_file()}


def test_other_settings_are_refused_and_nothing_is_replaced(done: Path, folder: Path, capsys) -> None:
    before = contents(done)
    assert run(arguments(folder, done, encodings="NoPE", last=4)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "encodings" in line
    assert "--accept=encodings,last" in line
    assert contents(done) == before


def test_a_workdir_of_another_program_is_refused(done: Path, folder: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "plan.json").write_text("{}")
    assert run(arguments(folder, tmp_path)) == 2
    assert train.main(["train", "--config=configs/smoke.py", f"--workdir={done}"]) == 2
    training, swap = capsys.readouterr().err.splitlines()
    assert "plan.json" in training
    assert "config.json" in swap


def test_two_at_once_on_one_workdir_are_refused(done: Path, folder: Path, capsys) -> None:
    with (done / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(arguments(folder, done)) == 2
    assert str(done) in capsys.readouterr().err


DAMAGES = [lambda b: b[: len(b) // 2], lambda b: b[:60] + b"\x00\xff" + b[62:], lambda b: b.replace(b"A", b"B")]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_measurement_is_named_and_no_result_is_lost(done: Path, folder: Path, damage, capsys) -> None:
    path = done / "measurements.jsonl"
    whole, before = path.read_bytes(), contents(done)
    first, rest = whole.split(b"\n", 1)
    path.write_bytes(damage(first) + b"\n" + rest)
    try:
        assert run(arguments(folder, done)) == 2
        assert "measurements.jsonl, line 1, is damaged" in capsys.readouterr().err
        assert {name: raw for name, raw in contents(done).items() if name != path.name} == {
            name: raw for name, raw in before.items() if name != path.name
        }
    finally:
        path.write_bytes(whole)


def test_an_unfinished_measurement_is_made_again(done: Path, folder: Path) -> None:
    """Killed while writing: the line is dropped, and the same command gives the same bytes."""
    path = done / "measurements.jsonl"
    assert run(arguments(folder, done)) == 0
    lines, before = path.read_bytes().splitlines(keepends=True), numbers(done)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:-40])
    assert run(arguments(folder, done)) == 0
    assert len(kept(done)) == len(lines)
    assert numbers(done) == before


def test_a_label_is_the_name_everywhere_and_the_spec_is_recorded(folder: Path, tmp_path: Path) -> None:
    assert run(arguments(folder, tmp_path, encodings="*Halved* = PI(factor=2.0)", lengths="16", edges="8")) == 0
    assert list(dict.fromkeys(row["variant"] for row in results(tmp_path))) == ["unchanged", "*Halved*"]
    assert results(tmp_path)[-1]["encoding"].startswith("PI(")
    assert list(json.loads((tmp_path / "receipts.json").read_text())) == ["unchanged", "*Halved*"]
    assert "\\*Halved\\*" in (tmp_path / "report.md").read_text(), "a name is no Markdown"


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["Log = mine.py:LogRoPE(window=128)"], {"Log": "mine.py:LogRoPE(window=128)"}),
        (["PI(factor=2.0)"], {"PI(factor=2.0)": "PI(factor=2.0)"}),
        (["a b=ALiBi + SlidingWindow(window=4)"], {"a b": "ALiBi + SlidingWindow(window=4)"}),
        (["x=1/mine.py:A()"], {"x": "1/mine.py:A()"}),
    ],
)
def test_labels(texts: list[str], found: dict[str, str]) -> None:
    assert label_variants(texts) == found


@pytest.mark.parametrize("texts", [["a = ALiBi", "a = NoPE"], ["unchanged = ALiBi"]])
def test_labels_that_are_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match="label"):
        label_variants(texts)
