"""The lm_eval command on the questions that are here, offline; one message for bad input."""

import json
from pathlib import Path

import numpy as np
import pytest

from ropelab.cli import lm_eval
from ropelab.evaluation import everyday
from ropelab.evaluation.answers import score_continuations
from ropelab.lab import load
from tests.models import tiny

LIMIT = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.write(tmp_path_factory.mktemp("lm_eval") / "model", tokenizer=True)
    settings = json.loads((folder / "config.json").read_text()) | {"eos_token_id": tiny.VOCABULARY - 1}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<end>"}))
    return folder


def run(*arguments: str) -> int:
    return lm_eval.main(["lm_eval", *arguments])


def test_the_questions_that_are_here_run_without_a_network(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    flags = ("--tasks=everyday", f"--limit={LIMIT}", "--encoding=PI(factor=8.0)", f"--workdir={tmp_path}")
    assert run(f"--model={model}", *flags) == 0
    found = json.loads((tmp_path / "results.json").read_text())["results"]["everyday"]
    lab = load(model).swap("PI(factor=8.0)")
    assert lab.tokenizer is not None
    right = []
    for line in everyday.QUESTIONS.read_text().splitlines()[:LIMIT]:
        item = json.loads(line)
        texts = [lab.tokenizer.encode(f"{item['question']} {choice}") for choice in item["choices"]]
        scores = [-one.nll for one in score_continuations(lab.model, texts, [len(item["question"])] * 4)]
        right.append(int(np.argmax(scores)) == item["answer"])
    assert found["acc,none"] == pytest.approx(np.mean(right))
    printed = capsys.readouterr().out
    assert f"everyday {LIMIT} of 200" in printed
    assert "0 contexts cut by 0 tokens" in printed
    assert "inv freq hash" in (tmp_path / "report.md").read_text()


def test_every_question_has_one_answer_among_four_different_choices() -> None:
    items = [json.loads(line) for line in everyday.QUESTIONS.read_text().splitlines()]
    assert len(items) == 200 == len({item["question"] for item in items})
    assert all(len(set(item["choices"])) == 4 and 0 <= item["answer"] < 4 for item in items)
    answers = [item["answer"] for item in items]
    assert all(30 < answers.count(place) < 70 for place in range(4)), "no place is the better guess"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tasks=everyday",), "--workdir or --tasks is missing"),
        (("--workdir=x",), "--workdir or --tasks is missing"),
        (("--tasks=evryday", "--workdir=x"), "no task 'evryday'. Did you mean everyday?"),
        (("--tasks=everyday", "--workdir=x", "--include_path=/nowhere"), "--include_path=/nowhere is not a folder"),
        (("--tasks=everyday", "--workdir=x", "--limit=0"), "limit"),
    ],
)
def test_bad_input_is_one_message(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture) -> None:
    assert run("--model=nothing-there", *arguments) == 2
    assert message in capsys.readouterr().err
