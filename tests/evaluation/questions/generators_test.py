"""Every family of questions: what is asked is told once where it is said to be, fits, and is the same every time."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ropelab.evaluation.questions import base
from ropelab.evaluation.questions.base import Question, Questions, fit_question
from ropelab.evaluation.questions.registry import NAMED, RULER, parse
from ropelab.evaluation.questions.words import listed
from tests.errors import names

GOLDEN = dict(np.load(Path(__file__).parents[2] / "golden" / "measures.npz"))
PLACED = {name: family for name, family in NAMED.items() if family.places}


def words(text: str) -> int:
    """A tokenizer of a kind: words, and three characters of what has no spaces."""
    return sum(1 + len(word) // 6 for word in text.split())


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("length", [700, 2000])
def test_a_question_fits_and_one_unit_more_would_not(name: str, length: int) -> None:
    family = NAMED[name]
    found = fit_question(family, length, words, seed=0, number=3)
    question = found.question
    assert words(question.prompt + question.prefix) + family.new_tokens == found.tokens <= length
    longer = family.question(np.random.default_rng([0, 3]), found.units + 1, None, length)
    assert words(longer.prompt + longer.prefix) + family.new_tokens > length
    assert fit_question(family, length, words, seed=0, number=3) == found
    assert fit_question(family, length, words, seed=0, number=4).question.answers != question.answers
    assert fit_question(family, length, words, seed=1, number=3).question.answers != question.answers


@pytest.mark.parametrize("name", PLACED)
@pytest.mark.parametrize("depth", [0.0, 0.3, 1.0])
def test_the_answer_is_told_where_it_is_said_to_be(name: str, depth: float) -> None:
    question = fit_question(PLACED[name], 3000, words, seed=0, number=0, depth=depth).question
    told = question.prompt.index(question.answers[0]) / len(question.prompt)
    assert question.depth is not None
    assert question.depth == pytest.approx(told, abs=0.02)
    assert question.depth == pytest.approx(depth, abs=0.08), "the task and the question take their share"


@pytest.mark.parametrize("name", NAMED)
def test_the_expected_answer_is_a_right_one(name: str) -> None:
    question = fit_question(NAMED[name], 1500, words, seed=0, number=1).question
    assert NAMED[name].score(question.expected, question.answers) == 1.0
    assert NAMED[name].score("I do not know", question.answers) == 0.0


def asked(name: str) -> Question:
    return fit_question(NAMED[name], 2000, words, seed=0, number=0).question


def test_lines_have_different_names_and_the_asked_one_has_the_answer() -> None:
    question = asked("lines")
    found = re.findall(r"line (.+?): REGISTER_CONTENT is <(\d+)>", question.prompt)
    assert len({name for name, _ in found}) == len(found) > 20
    name = re.findall(r"in line (.+?)\? I need", question.prompt)[0]
    assert dict(found)[name] == question.answers[0]
    assert all(1 <= int(number) <= 50000 for _, number in found)


@pytest.mark.parametrize(("name", "value"), [("niah_single_1", r"\d{7}"), ("niah_multikey_2", r"\d{7}")])
def test_one_needle_of_seven_digits_is_asked_for(name: str, value: str) -> None:
    question = asked(name)
    found = dict(re.findall(rf"One of the special magic numbers for (.+?) is: ({value})\.", question.prompt))
    key = re.findall(r"magic number for (.+?) mentioned", question.prompt)[0]
    assert found[key] == question.answers[0]
    assert len(found) == (
        1 if name == "niah_single_1" else 1 + fit_question(RULER[name], 2000, words, seed=0, number=0).units
    )


def test_variables_are_a_chain_in_order() -> None:
    question = asked("vt")
    own = question.prompt[question.prompt.index("Memorize", 10) :]
    chain = re.findall(r"VAR (\w+) = (?:VAR )?(\w+)", own)
    assert [name for name, _ in chain] == list(question.answers)
    assert [value for _, value in chain[1:]] == list(question.answers[:-1])
    assert f"value {chain[0][1]}" in own
    assert len(question.answers) == 5 == len(set(question.answers))


@pytest.mark.parametrize(("length", "often", "seldom"), [(2000, 6, 1), (6000, 30, 3)])
def test_common_words_are_common(length: int, often: int, seldom: int) -> None:
    question = fit_question(NAMED["cwe"], length, words, seed=0, number=0).question
    own = question.prompt[question.prompt.rindex("Below is") : question.prompt.rindex("Question")]
    counts = Counter(re.findall(r"\d+\. ([^\d]+?)(?= \d+\. |\n)", own))
    assert {word: counts[word] for word in question.answers} == dict.fromkeys(question.answers, often)
    assert {count for word, count in counts.items() if word not in question.answers} == {seldom}


def test_coded_words_follow_zipfs_law() -> None:
    found = fit_question(NAMED["fwe"], 4000, words, seed=0, number=0)
    text = found.question.prompt.split("coded words. ")[1].split("\n")[0].split()
    ranked = Counter(text).most_common()
    assert ranked[0][0] == "..."
    assert [word for word, _ in ranked[1:4]] == list(found.question.answers)
    wanted = [int(10 * found.units / k**2 / (np.pi**2 / 6)) for k in range(1, 5)]
    assert [count for _, count in ranked[:4]] == wanted


def test_json_is_json() -> None:
    question = asked("json_kv")
    data = json.loads(question.prompt[question.prompt.index("{") : question.prompt.index("}") + 1])
    key = re.findall(r'Key: "(.+)"', question.prompt)[0]
    assert data[key] == question.answers[0]


def test_topics_are_different_and_the_first_is_asked_for() -> None:
    question = asked("topics")
    found = re.findall(r"discuss the topic of (.+?)\. \n", question.prompt)
    assert found[0] == question.answers[0]
    assert len(set(found)) == len(found) > 3


@pytest.mark.parametrize("case", [json.loads(case) for case in GOLDEN["ruler/cases"]], ids=str)
def test_the_share_contained_is_rulers_score(case: dict) -> None:
    number = [json.loads(c) for c in GOLDEN["ruler/cases"]].index(case)
    found = base.share_contained(case["said"], case["wanted"])
    assert round(100 * found, 2) == GOLDEN["ruler/score"][number]


def test_integers_count_by_value_first_or_last() -> None:
    assert base.last_integer("line 3 says 07 or <12>.", ["12"]) == 1.0
    assert base.last_integer("12, or line 3", ["12"]) == 0.0
    assert base.last_integer("none", ["12"]) == 0.0
    assert base.first_integer(" 0012. Remember 13", ["12"]) == 1.0
    assert base.first_integer(" 123", ["12"]) == 0.0


def test_a_topic_may_be_said_in_another_way_of_writing() -> None:
    assert base.contains_topic("It was: The Ethics of Deep-Sea Fishing!", ["the ethics of deep sea fishing"]) == 1.0
    assert base.contains_topic("the ethics of fishing", ["the ethics of deep sea fishing"]) == 0.0


def test_names_are_those_of_the_field() -> None:
    assert list(parse("ruler")) == ["niah_single_1", "niah_multikey_2", "niah_multikey_3", "vt", "cwe", "fwe"]
    assert parse("passkey") == {"passkey": NAMED["passkey"]}
    seven = parse("Passkey(digits=7)")["Passkey(digits=7)"]
    assert len(fit_question(seven, 500, words, seed=0, number=0).question.answers[0]) == 7
    with pytest.raises(ValueError, match=names("'pass_key'", "passkey")):
        parse("pass_key")
    with pytest.raises(ValueError, match="digits=0"):
        parse("Passkey(digits=0)")


@pytest.mark.parametrize("name", NAMED)
def test_what_does_not_fit_is_refused_with_what_it_needs(name: str) -> None:
    family: Questions = NAMED[name]
    with pytest.raises(ValueError, match=rf"\d+ tokens.*{family.new_tokens}"):
        fit_question(family, 40, words, seed=0, number=0)


def test_depths_lie_in_the_text() -> None:
    with pytest.raises(ValueError, match=names("depth=1.5")):
        fit_question(NAMED["lines"], 900, words, seed=0, number=0, depth=1.5)


def test_the_words_are_wonderwords() -> None:
    assert {"report", "abacus"} <= set(listed("nounlist"))
    assert len(listed("adjectivelist")) > 900
