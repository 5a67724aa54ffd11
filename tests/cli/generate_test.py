"""The generate command on a tiny model: text on standard output, proof on standard error, one message for bad input."""

from pathlib import Path

import pytest

from ropelab import load
from ropelab.cli import generate
from tests.models import tiny

PROMPT = "def attend(q, k):"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("generate") / "model", tokenizer=True)


def run(*arguments: str) -> int:
    return generate.main(["generate", *arguments])


def test_the_text_is_the_labs_and_the_encoding_is_proven(model: Path, capsys: pytest.CaptureFixture) -> None:
    spec = "YaRN(factor=4.0, original_length=32)"
    assert run(f"--model={model}", f"--encoding={spec}", f"--prompt={PROMPT}", "--max_new_tokens=6") == 0
    out, err = capsys.readouterr()
    assert out.strip("\n") == load(model).swap(spec).generate(PROMPT, max_new_tokens=6).strip("\n")
    assert "YaRN(base=10000.0, factor=4.0, original_length=32): differs from the model as loaded" in err
    assert "tokens/s" in err


def test_a_prompt_is_read_from_a_file(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "prompt.txt").write_text(PROMPT)
    for prompt in (PROMPT, f"@{tmp_path / 'prompt.txt'}"):
        assert run(f"--model={model}", f"--prompt={prompt}", "--max_new_tokens=4", "--seed=1", "--temperature=0.7") == 0
    first, second = capsys.readouterr().out.split("\n")[:2]
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--prompt is missing"),
        (["--prompt=a", "b"], "unexpected argument 'b'"),
        (["--prompt=@nowhere.txt"], "nowhere.txt"),
        (["--prompt=a", "--encoding=YARN(factor=2)"], "YaRN"),
        (["--prompt=a", "--temperature=-1"], "temperature=-1"),
        (["--prompt=a", "--chat"], "no chat template"),
        (["--prompt=a", "--length=3"], "length"),
    ],
)
def test_bad_input_gets_one_message(
    arguments: list[str], named: str, model: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(f"--model={model}", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err.strip().splitlines()[-1]
