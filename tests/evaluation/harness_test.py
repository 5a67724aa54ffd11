"""lm-evaluation-harness on a local task, without a network: its numbers are those of our own loss and decoding."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lm_eval
import numpy as np
import pytest
from lm_eval.tasks import TaskManager

from ropelab.evaluation.harness import Harness, Truncated
from ropelab.models import generation
from tests.models import tiny

LAB = tiny.lab(tokenizer=True)
assert LAB.tokenizer is not None
TOKENIZER = dataclasses.replace(LAB.tokenizer, eos_id=tiny.VOCABULARY - 1)
ITEMS = [
    {"question": "Two and two are", "choices": ["four", "five", "a window"], "answer": 0},
    {"question": "Ice is", "choices": ["cold", "hot", "fast"], "answer": 0},
    {"question": "The sun is", "choices": ["black", "yellow"], "answer": 1},
]
CHOICES = """
task: tiny_choices
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
ROLLING = """
task: tiny_text
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{question}}}}"
metric_list: [{{metric: bits_per_byte}}]
"""


def own(text: str, start: int) -> float:
    """Summed log p of a text from character `start` on: a character is a token here."""
    return -float(np.asarray(LAB.nll([TOKENIZER.encode(text)]))[0, start - 1 :].sum(dtype=np.float64))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> TaskManager:
    folder = tmp_path_factory.mktemp("tasks")
    data = folder / "items.jsonl"
    data.write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    (folder / "tiny_choices.yaml").write_text(CHOICES.format(data=data))
    (folder / "tiny_text.yaml").write_text(ROLLING.format(data=data))
    return TaskManager(include_path=str(folder), include_defaults=False)


def evaluated(tasks: TaskManager, name: str, **settings: Any) -> tuple[dict[str, Any], Harness]:
    model = Harness(LAB.model, TOKENIZER, max_length=64, **settings)
    found = lm_eval.simple_evaluate(model=model, tasks=[name], task_manager=tasks, bootstrap_iters=0)
    assert found is not None
    return found["results"][name], model


def test_multiple_choice_is_what_our_own_scoring_says(
    tasks: TaskManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    right, right_by_byte = 0, 0
    for item in ITEMS:
        question = str(item["question"])
        scores = [own(f"{question} {choice}", len(question)) for choice in item["choices"]]
        by_byte = [score / len(choice) for score, choice in zip(scores, item["choices"], strict=True)]
        right += int(np.argmax(scores)) == item["answer"]
        right_by_byte += int(np.argmax(by_byte)) == item["answer"]
    results, model = evaluated(tasks, "tiny_choices")
    assert results["acc,none"] == pytest.approx(right / 3)
    assert results["acc_norm,none"] == pytest.approx(right_by_byte / 3)
    assert model.truncated == Truncated()


def test_rolling_is_the_loss_after_an_end_of_text(
    tasks: TaskManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    texts = [str(item["question"]) for item in ITEMS]
    total = sum(own(f"<end>{text}", 1) for text in texts)
    results, _ = evaluated(tasks, "tiny_text")
    wanted = -total / sum(map(len, texts)) / np.log(2)
    assert results["bits_per_byte,none"] == pytest.approx(wanted, rel=1e-5)


def request(*args: Any) -> Any:
    return SimpleNamespace(args=args)


def test_long_texts_roll_in_windows_that_do_not_overlap() -> None:
    model = Harness(LAB.model, TOKENIZER, max_length=10)
    text = "abcdefghijklmnopqrstuvwxyz"
    found = model.loglikelihood_rolling([request(text)])
    wanted = own(f"<end>{text[:10]}", 1) + own(text[9:20], 1) + own(text[15:], 5)
    assert found == [pytest.approx(wanted, rel=1e-5)]


def test_what_is_cut_is_counted() -> None:
    model = Harness(LAB.model, TOKENIZER, max_length=12)
    found = model.loglikelihood([request("0123456789abcdef", "xyz"), request("ab", "c")])
    assert model.truncated == Truncated(1, 6)
    assert found[0][0] == pytest.approx(own("6789abcdefxyz", 10), rel=1e-5)
    assert found[1][0] == pytest.approx(own("abc", 2), rel=1e-5)


def test_generation_ends_at_a_stop_and_is_greedy() -> None:
    model = Harness(LAB.model, TOKENIZER, max_length=64)
    prompts = ["one two", "a", "one two three"]
    whole = model.generate_until([request(prompt, {"max_gen_toks": 12, "until": []}) for prompt in prompts])
    for prompt, said in zip(prompts, whole, strict=True):
        steps = generation.tokens(LAB.model, [TOKENIZER.encode(prompt)], 12, stop=TOKENIZER.eos_id)
        assert said == TOKENIZER.decode([int(step[0]) for step in steps])
    stop = whole[0][4]
    cut = model.generate_until([request(prompts[0], {"max_gen_toks": 12, "until": [stop]})])
    assert cut == [whole[0].split(stop)[0]]


def test_an_empty_context_begins_with_the_end_of_text() -> None:
    model = Harness(LAB.model, TOKENIZER)
    assert model.loglikelihood([request("", "abc")])[0][0] == pytest.approx(own("<end>abc", 1), rel=1e-5)
    assert model.max_length == tiny.TRAINED_LENGTH
    with pytest.raises(ValueError, match="BOS"):
        Harness(LAB.model, TOKENIZER, add_bos=True)
    with pytest.raises(ValueError, match="end of text"):
        Harness(LAB.model, None)
