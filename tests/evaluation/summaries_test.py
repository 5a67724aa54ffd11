"""Summaries: ROUGE by hand on short sentences, what is cut, and what is read from a file."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from ropelab.evaluation.evals.base import EvalContext
from ropelab.evaluation.evals.registry import parse
from ropelab.evaluation.evals.summaries import AFTER, BEFORE, Summaries, pairs, prompt, rouge
from tests.errors import names
from tests.models import tiny

LAB = tiny.lab(tokenizer=True)
assert LAB.tokenizer is not None
TOKENIZER = dataclasses.replace(LAB.tokenizer, eos_id=tiny.VOCABULARY - 1)
ITEMS = [{"report": "It rained. " * 40, "summary": "Rain."}, {"article": "Dry.", "highlights": "No rain."}]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "reports.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    return str(path)


def test_rouge_is_what_one_counts_by_hand() -> None:
    """Wanted six words, said five: five in common, four pairs of neighbours of five and four, all five in order."""
    found = rouge("the cats sat on mats", "the cat sat down on mats")
    precision, recall = 5 / 5, 5 / 6  # "cats" and "cat" have one stem
    assert found["rouge1"] == pytest.approx(2 * precision * recall / (precision + recall))
    pairs_in_common = 3  # the cat, cat sat, on mats
    precision, recall = pairs_in_common / 4, pairs_in_common / 5
    assert found["rouge2"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert found["rougeL"] == found["rouge1"], "all in order"
    assert rouge("on the mat", "mat the on")["rougeL"] == pytest.approx(1 / 3)


def test_a_report_is_cut_at_its_end() -> None:
    ids = prompt(TOKENIZER, ITEMS[0]["report"], 120)
    assert len(ids) == 120
    text = TOKENIZER.decode(ids)
    assert text.startswith(BEFORE + "It rained.")
    assert text.endswith(AFTER)
    assert TOKENIZER.decode(prompt(TOKENIZER, "Dry.", 120)) == f"{BEFORE}Dry.{AFTER}"


def test_a_model_is_scored_at_every_length(file: str) -> None:
    summaries = parse(f"summaries(source={file!r}, trials=2, new_tokens=8)")["summaries"]
    context = EvalContext(LAB.model, TOKENIZER, np.zeros(0, np.int32), seed=0)
    done = []
    for case in summaries.cases([80, 120]):
        summaries.check(context, case)
        found = list(summaries.measure(context, case, done.append))
        assert [(one.metric, one.count) for one in found] == [("rouge1", 2), ("rouge2", 2), ("rougeL", 2)]
        assert all(0 <= one.value <= 1 for one in found)
    assert sum(done) == 4
    before = summaries.reads()
    Path(file).write_text(json.dumps(ITEMS[0]) + "\n")
    assert summaries.reads() != before, "another file under the same name is measured anew"


def test_what_cannot_be_summarised_is_refused(file: str, tmp_path: Path) -> None:
    context = EvalContext(LAB.model, TOKENIZER, np.zeros(0, np.int32), seed=0)
    for settings, message in (
        ({"source": file, "trials": 3}, names(2, "trials=2")),
        ({"source": file, "trials": 2, "new_tokens": 79}, "room|79"),
        ({"source": "nowhere.jsonl"}, r"'nowhere\.jsonl'"),
    ):
        summaries = Summaries(**settings)
        with pytest.raises(ValueError, match=message):
            summaries.check(context, summaries.cases([80])[0])
    (tmp_path / "odd.jsonl").write_text('{"body": "x"}\n')
    with pytest.raises(ValueError, match=names("line 1", "report, document, article, text", "body")):
        pairs(str(tmp_path / "odd.jsonl"), "test", 1)
