"""The show command: the picture, the numbers beside it, the printed resolutions, and one message for bad input."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from ropelab.cli import show
from ropelab.encodings import parse
from ropelab.evaluation import attention_resolution, expected_scores, measured_scores
from ropelab.lab import load, tokens_of
from tests.cli import tiny_run

DILATED = "Dilated(segments=(8, 16), rates=(1, 2))"
ROPE, XPOS = "RoPE(base=10000.0)", "XPos(base=10000.0, scale_base=16)"


def run(*arguments: str) -> int:
    return show.main(["show", *arguments])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run.place(tmp_path_factory.mktemp("show"))


def printed_rows(text: str) -> dict[str, list[float]]:
    """The numbers of each printed row, by the way of getting the scores and the encoding."""
    found, way = {}, ""
    for line in text.splitlines():
        if line.startswith("Attention resolution by length, "):
            way = line.removeprefix("Attention resolution by length, ").strip()
        cells = [cell.strip() for cell in line.split("│")[1:-1]]
        if len(cells) > 1:
            found[f"{way}: {cells[0]}"] = [float(cell) for cell in cells[1:]]
    return found


def test_without_a_model(folder: Path, capsys: pytest.CaptureFixture) -> None:
    out = folder / "analytic"
    flags = ("--heads=4", "--head_dim=16", "--length=20", "--layers=2", "--lengths=64,32")
    assert run(f"--pattern={DILATED}", f"--encoding={ROPE}; {XPOS}", *flags, f"--workdir={out}") == 0
    printed = capsys.readouterr().out
    names = set(show.OUTPUTS) - {"measured.npz"}
    assert {path.name for path in out.iterdir()} == names
    assert (out / "portrait.png").read_bytes().startswith(b"\x89PNG")
    assert "expected: q = k = 1 in 16 dimensions" in " ".join(printed.split())

    rows = {(r["variant"], int(r["length"])): r for r in table(out / "resolution.csv")}
    shown = printed_rows(printed)
    for spec in (ROPE, XPOS):
        wanted = [attention_resolution(expected_scores(parse(spec), 16, np.arange(T)).mean) for T in (32, 64)]
        assert [float(rows[spec, T]["value"]) for T in (32, 64)] == pytest.approx(wanted)
        assert shown[f"expected, q = k = 1: {spec}"] == pytest.approx(wanted, abs=5.1e-5)
    assert all("ropelab" in row["protocol"] for row in rows.values())

    counts = {(r["head"], r["query"], r["key"]): r["count"] for r in table(out / "counts.csv")}
    assert (counts["0", "2", "0"], counts["1", "2", "0"]) == ("2", "1")
    assert ("0", "16", "15") not in counts
    reach = {(r["query"], r["token"]): r["layers"] for r in table(out / "reach.csv")}
    assert (reach["8", "8"], reach["8", "6"], reach["9", "6"]) == ("0", "1", "2")
    assert len(table(out / "wavelengths.csv")) == 16
    assert len(table(out / "scores.csv")) == 2 * (32 + 64)
    assert json.loads((out / "settings.json").read_text())["command"].startswith("python -m experiments.show ")


def test_in_a_model(folder: Path, capsys: pytest.CaptureFixture) -> None:
    """Fields left out are the checkpoint's; the same numbers come from the library, and stale files go."""
    out = folder / "measured"
    where = (f"--model={folder / 'model'}", f"--text={folder / 'text.txt'}", f"--workdir={out}")
    specs = 'XPos(scale_base=16); Sinusoidal(layout="interleaved")'
    assert run(f"--encoding={specs}", "--lengths=24,48", "--sinks=2", *where) == 0
    printed = capsys.readouterr().out
    assert "XPos(scale_base=16): differs from the model as loaded from position 1 on" in printed
    assert "all causal pairs but those with a key among the first 2 tokens" in " ".join(printed.split())
    lab = load(folder / "model").swap("XPos(scale_base=16)")
    tokens = tokens_of(lab, tiny_run.TEXT)[None, :48]
    wanted = measured_scores(lab.model, tokens, sinks=2)
    archive = np.load(out / "measured.npz")
    np.testing.assert_allclose(archive["XPos(scale_base=16) @ 48"], wanted.each)
    shown = printed_rows(printed)
    mean = attention_resolution(wanted.mean)
    assert shown["measured, mean of layers and heads: XPos(scale_base=16)"][1] == pytest.approx(mean, abs=5.1e-5)
    assert "measured, median head: XPos(scale_base=16)" in shown
    ways = {r["metric"] for r in table(out / "resolution.csv") if r["variant"].startswith("Sinusoidal")}
    assert ways == {"measured", "median_head"}  # it has no expected score
    settings = json.loads((out / "settings.json").read_text())
    assert re.search(r"weights [0-9a-f]{12}\) under Causal\(\); text .*text\.txt", settings["protocol"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encoding=Rope(base=1e4)"], "unknown encoding 'Rope'. Did you mean RoPE?"),
        (["--encoding=RoPE"], "base is not known; give base=, or swap it into a loaded model"),
        (["--encoding=NoPE; NoPE"], "names the same encoding twice"),
        (["--encoding=LearnedAbsolute(max_length=8)"], "is added to the input"),
        (["--encoding=RoPE(base=1e4)", "--head_dim=7"], "head_dim=7 must be even"),
        (["--pattern=Dilatd(segments=(8,), rates=(1,))"], "unknown pattern 'Dilatd'. Did you mean Dilated?"),
        (["--pattern=Dilated(segments=(8,), rates=(3,))"], "a segment of 8 is no multiple of its rate 3"),
        (["--length=513"], "--length=513 is more than a picture shows; give 512 at most"),
        (["--layers=0"], "layers"),
        (["--heads=many"], "heads"),
        (["--lengths=64,1"], "--lengths=64,1 must be integers"),
        (["--lengths="], "must be integers"),
        (["--model=nowhere/model"], "nowhere/model"),
        (["--text=nowhere.txt", "--model=smollm2"], "no text at 'nowhere.txt'"),
        (["Causal()"], "unexpected argument 'Causal()'"),
        (["--depth=3"], "depth"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(*arguments, f"--workdir={tmp_path / 'out'}") == 2
    refused(capsys, message, tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--heads=9"], "--heads=9, but"),
        (["--head_dim=64"], "has 16; leave it out"),
        (["--lengths=100000"], "give a longer text"),
        (["--lengths=8,16", "--sinks=7"], "--sinks=7 leaves fewer than two distances of the 8"),
    ],
)
def test_what_contradicts_the_model_or_the_text_is_refused(
    arguments: list[str], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    where = (f"--model={folder / 'model'}", f"--text={folder / 'text.txt'}", f"--workdir={tmp_path / 'out'}")
    assert run(*arguments, *where) == 2
    refused(capsys, message, tmp_path / "out")


def refused(capsys: pytest.CaptureFixture, message: str, out: Path) -> None:
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not out.exists()


def test_help(capsys: pytest.CaptureFixture) -> None:
    assert run("--help") == 0
    assert "python -m experiments.show" in capsys.readouterr().out


def test_a_label_is_the_name_in_the_table(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    argv = ["show", "--encoding=Slow = RoPE(base=1e6)", "--length=8", "--lengths=8,16", f"--workdir={tmp_path}"]
    assert show.main(argv) == 0
    assert "Slow" in capsys.readouterr().out
