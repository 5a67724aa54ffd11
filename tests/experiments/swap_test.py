"""A swap experiment from the command line to the page: complete, consistent, and never measured twice."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from ropelab.models.module import Model
from tests.experiments.tiny_run import (
    ARMS,
    LENGTHS,
    OUTPUTS,
    WINDOWS,
    arguments,
    numbers,
    per_token,
    place,
    results,
    run,
)
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
    assert {path.name for path in done.iterdir()} == {*OUTPUTS, "measurements"}
    assert (done / "perplexity.png").read_bytes().startswith(b"\x89PNG")
    assert (done / "perplexity.pdf").read_bytes().startswith(b"%PDF")
    assert json.loads((done / "config.json").read_text())["windows"] == WINDOWS


def test_the_arms_are_the_baselines_and_then_what_was_asked_for(done: Path) -> None:
    assert list(dict.fromkeys(row["arm"] for row in results(done))) == ARMS
    assert list(per_token(done)) == ["protocol", *(f"{arm} @ {n}" for arm in ARMS for n in LENGTHS)]
    receipts = json.loads((done / "receipts.json").read_text())
    assert list(receipts) == [ARMS[0], *ARMS[2:]]  # the chopped arm is the unchanged model
    assert all(receipts[arm]["first_position"] is not None for arm in ARMS[2:])


def test_the_table_is_computed_from_the_tokens(done: Path) -> None:
    """Position p is entry p - 1 of the losses; every band is recomputed here from the archive."""
    archive = per_token(done)
    for row in results(done):
        nll = archive[f"{row['arm']} @ {row['length']}"]
        assert nll.shape == (WINDOWS, int(row["length"]) - 1)
        band = nll[:, max(int(row["first"]) - 1, 0) : int(row["last"]) - 1].astype(np.float64)
        assert int(row["tokens"]) == band.size
        assert float(row["nll"]) == pytest.approx(band.mean(), abs=1e-6)
        assert float(row["perplexity"]) == pytest.approx(np.exp(band.mean()), rel=1e-4)
    bands = [row["band"] for row in results(done) if row["arm"] == "ALiBi" and row["length"] == "80"]
    assert bands == ["all", "[0, 16)", "[16, 32)", "[32, 80)", "last 8"]


def test_the_tokens_are_those_of_the_text_under_each_model(done: Path, folder: Path) -> None:
    """Recomputed through the public surface from the text itself."""
    lab = tiny.lab(tokenizer=True)
    assert lab.tokenizer is not None
    ids = np.asarray(lab.tokenizer.encode((folder / "text.txt").read_text()))[:160].reshape(2, 80)
    np.testing.assert_allclose(per_token(done)["unchanged @ 80"], lab.nll(ids), atol=1e-4)
    chopped = per_token(done)["unchanged, chopped at 32 @ 80"]
    np.testing.assert_allclose(chopped[:, 31:62], lab.nll(ids[:, 31:63]), atol=1e-4)


def test_every_number_names_its_protocol(done: Path) -> None:
    (line,) = {row["protocol"] for row in results(done)}
    assert f"{WINDOWS} window(s) of 16, 80 tokens" in line
    assert "30, 158 tokens scored" in line
    assert line in (done / "report.md").read_text()
    assert str(per_token(done)["protocol"]) == line


def test_the_page_has_the_command_that_does_it_again(done: Path, folder: Path) -> None:
    """Quoted for a shell, the quotes inside of specs included."""
    page = (done / "report.md").read_text()
    command = next(line for line in page.splitlines() if line.startswith("python -m experiments.swap"))
    assert shlex.split(command)[3:] == arguments(folder, done)


def test_a_second_call_measures_nothing(done: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, table = stamps(done), (done / "results.csv").read_bytes()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(Model, "nll_in_parts", never)
    assert run(arguments(folder, done)) == 0
    assert stamps(done) == before
    assert (done / "results.csv").read_bytes() == table
    assert run(arguments(folder, done, edges="40", last=4)) == 0  # other bands are other sums of the same tokens
    assert run(arguments(folder, done)) == 0


def stamps(workdir: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (workdir / "measurements").iterdir()}


def test_a_changed_text_is_measured_anew(done: Path, folder: Path) -> None:
    before, numbers_before = set(stamps(done)), numbers(done)
    other = folder / "other.txt"
    other.write_text((folder / "text.txt").read_text().replace("line", "word"))
    changes = {"text": other, "encodings": "ALiBi", "lengths": "80"}
    assert run(arguments(folder, done, **changes)) == 0
    assert set(stamps(done)) > before
    assert list(dict.fromkeys(row["arm"] for row in results(done))) == [*ARMS[:2], "ALiBi"]
    assert run(arguments(folder, done)) == 0
    assert numbers(done) == numbers_before
