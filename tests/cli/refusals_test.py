"""Bad input: exit code 2, one line that begins with `error:` and names what is wrong, and no table."""

from pathlib import Path
from typing import Any

import pytest

from ropelab.evaluation import memory
from tests.cli.tiny_run import arguments, place, run
from tests.models import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual model and text, and others that are wrong in one way each."""
    folder = place(tmp_path_factory.mktemp("refusals"))
    incomplete = {name: w for name, w in tiny.tensors().items() if name != "model.norm.weight"}
    tiny.write(folder / "incomplete", weights=incomplete, tokenizer=True)
    tiny.write(folder / "mistral", settings=tiny.config(model_type="mistral"), tokenizer=True)
    tiny.write(folder / "mute")
    (folder / "noise.bin").write_bytes(b"\xff\xfe\xfd")
    (folder / "empty").mkdir()
    return folder


def refuse(folder: Path, capsys: pytest.CaptureFixture, argv: list[str]) -> str:
    """The line that a refused command prints."""
    assert run(argv) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert not (folder / "out" / "records.csv").exists()
    return line


@pytest.mark.parametrize(
    ("encodings", "message"),
    [
        ("Yarn(factor=2.0, original_length=32)", "unknown encoding 'Yarn'. Did you mean YaRN?"),
        ("PI(facter=2.0)", "PI has no field 'facter'. Did you mean factor?"),
        ("PI(factor=2.0) + SlidingWindw(window=4)", "SlidingWindw"),
        ("SlidingWindow(windw=4)", "Did you mean window?"),
        ("PI(factor=0.5)", "factor=0.5 must be at least 1"),
        ("RoPE(rotary_dim=7)", "rotary_dim=7 must be even"),
        ("RoPE(rotary_dim=18)", "rotary_dim=18 exceeds head_dim=16"),
        ("PI", "PI needs factor="),
        ("PI(2.0)", "takes its fields by name"),
        ("PI(factor=2.0", "cannot read the encoding"),
        ("__import__('os').system('true')", "cannot read|neither a literal nor a spec|unknown"),
        ("PI(factor=1.0)", "nothing was applied"),
        ("RoPE", "is the unchanged model"),
        ("PI(factor=2.0); PI(factor=2)", "two variants are the same"),
        ("ALiBi; NoPE; ALiBi", "two variants have the name 'ALiBi'"),
        ("PI(factor=2.0) + NTK(alpha=2.0)", "more than one encoding"),
    ],
)
def test_an_arm_that_cannot_be_is_refused(
    encodings: str, message: str, folder: Path, capsys: pytest.CaptureFixture
) -> None:
    line = refuse(folder, capsys, arguments(folder, folder / "out", encodings=encodings))
    assert any(part in line for part in message.split("|"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": "16,4000"}, "2 window(s) of 4000 need 8000; give a longer text, a shorter length or fewer"),
        ({"windows": 1000}, "1000 window(s) of 80 need 80000"),
        ({"windows": 0}, "windows and config.last at least 1"),
        ({"windows": "abc"}, "config.windows='abc' is not allowed; it takes an integer"),
        ({"lengths": "1"}, "must be at least 2"),
        ({"lengths": "4.5,6"}, "must be integers"),
        ({"lengths": "abc"}, "must be integers"),
        ({"edges": "1,b"}, "must be integers"),
        ({"last": 0}, "at least 1"),
        ({"dtype": "float31"}, "dtype='float31' is not one of"),
        ({"kernel": "fast"}, "unknown kernel 'fast'"),
        ({"lenghts": "16"}, "config has no field 'lenghts'. Did you mean lengths?"),
        ({"text": "nowhere.txt"}, "no text at 'nowhere.txt'"),
        ({"model": "/no/such/model"}, "/no/such/model"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    changes: dict[str, Any], message: str, folder: Path, capsys: pytest.CaptureFixture
) -> None:
    assert message in refuse(folder, capsys, arguments(folder, folder / "out", **changes))


@pytest.mark.parametrize(
    ("field", "name", "message"),
    [
        ("model", "incomplete", "tensor model.norm.weight is missing"),
        ("model", "mistral", "model_type 'mistral' is not supported"),
        ("model", "mute", "has no tokenizer"),
        ("model", "text.txt", "is not a .gguf file"),
        ("text", "noise.bin", "is not UTF-8"),
        ("text", "empty", "no file of the folder is UTF-8 text"),
    ],
)
def test_files_that_cannot_be_read_are_refused(
    field: str, name: str, message: str, folder: Path, capsys: pytest.CaptureFixture
) -> None:
    assert message in refuse(folder, capsys, arguments(folder, folder / "out", **{field: folder / name}))


def test_a_length_that_does_not_fit_is_refused_before_anything_is_measured(
    folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    line = refuse(folder, capsys, arguments(folder, folder / "out"))
    assert "length 80 needs about" in line
    assert "give a shorter length" in line


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--workdir is missing"),
        (["--workdir=out", "--confg=x"], "Unknown command line flag 'confg'"),
        (["--workdir=out", "--config=nowhere.py"], "nowhere.py"),
        (["--workdir=out", "PI"], "unexpected argument 'PI'"),
        (["--workdir=/dev/null/out"], "--workdir=/dev/null/out cannot be made a folder"),
    ],
)
def test_a_command_line_that_cannot_be_is_refused(
    argv: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert message in refuse(folder, capsys, argv)


def test_bad_input_leaves_an_earlier_table_alone(folder: Path, capsys: pytest.CaptureFixture) -> None:
    workdir = folder / "earlier"
    workdir.mkdir()
    (workdir / "records.csv").write_text("measured before")
    refuse(folder, capsys, arguments(folder, workdir, encodings="PI(factor=1.0)"))
    assert (workdir / "records.csv").read_text() == "measured before"


def test_help_is_the_experiment_s_own(capsys: pytest.CaptureFixture) -> None:
    assert run(["--help"]) == 0
    assert "Swap the positional encoding" in capsys.readouterr().out
