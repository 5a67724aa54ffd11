"""Asking a model that answers as it should, and one that does not; batched, alone, by both ways."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from ropelab.evaluation.answers import Answer, ask, common_prefix_length, decode_continuation, prompt_start
from ropelab.evaluation.questions.base import Question, Questions
from ropelab.models import generation
from ropelab.spec import spec
from tests.models import tiny

LAB = tiny.lab(tokenizer=True)


def greedy(prompt: str, tokens: int) -> str:
    """What the model says, which is what a question is made to want."""
    ids = LAB.tokenizer.encode(prompt)
    said = [int(step[0]) for step in generation.tokens(LAB.model, [ids], tokens)]
    return decode_continuation(LAB.tokenizer, ids, said)


@spec
class Parroted(Questions):
    """Asks for the first characters of what the model says anyway."""

    new_tokens: ClassVar[int] = 6

    def question(self, rng: np.random.Generator, units: int, depth: float | None, length: int) -> Question:
        raise NotImplementedError


PROMPTS = ["abc def", "one two three four five six seven eight nine", "x", "abd def"]


@pytest.mark.parametrize("way", ["generation", "likelihood"])
@pytest.mark.parametrize("spec", ["RoPE", "DynamicNTK(factor=2.0, original_length=8)"])
def test_questions_asked_together_are_answered_as_alone(way: str, spec: str) -> None:
    model = LAB.swap(spec).model
    questions = [Question(prompt, " ", ("q",), "q") for prompt in PROMPTS]
    assert LAB.tokenizer is not None
    together = ask(model, LAB.tokenizer, Parroted(), questions, way)
    alone = [ask(model, LAB.tokenizer, Parroted(), [question], way)[0] for question in questions]
    for one, other in zip(together, alone, strict=True):
        assert (one.score, one.said, one.tokens) == (other.score, other.said, other.tokens)
        assert one.nll == pytest.approx(other.nll, rel=1e-5, nan_ok=True)


def test_prompts_begin_as_the_checkpoint_has_it() -> None:
    """BOS stands before them if that is its policy, and is one of their tokens."""
    assert LAB.tokenizer is not None
    begins = dataclasses.replace(LAB.tokenizer, bos_id=5, add_bos=True)
    question = Question(PROMPTS[0], " ", ("q",), "q")
    plain, begun = (ask(LAB.model, t, Parroted(), [question], "likelihood")[0] for t in (LAB.tokenizer, begins))
    assert begun.tokens == plain.tokens + 1
    ids = [5, *LAB.tokenizer.encode(PROMPTS[0] + " q")]
    assert begun.nll == pytest.approx(float(LAB.nll([ids])[0, -1]), rel=1e-5)
    assert abs(begun.nll - plain.nll) > 1e-3
    assert ask(LAB.model, begins, Parroted(), [question], "generation")[0].tokens == begun.tokens
    assert prompt_start(dataclasses.replace(begins, add_bos=False)) == []


@pytest.mark.parametrize("way", ["generation", "likelihood"])
def test_what_the_model_says_is_right_and_anything_else_is_wrong(way: str) -> None:
    assert LAB.tokenizer is not None
    said = [greedy(prompt, 4) for prompt in PROMPTS]
    wrong = ["".join(chr(33 + (ord(c) - 32) % 90) for c in text) for text in said]
    for wanted, score in ((said, 1.0), (wrong, 0.0)):
        questions = [Question(p, "", (w,), w) for p, w in zip(PROMPTS, wanted, strict=True)]
        answers = ask(LAB.model, LAB.tokenizer, Parroted(), questions, way)
        assert [answer.score for answer in answers] == [score] * 4
        assert all(isinstance(answer, Answer) for answer in answers)


def test_likelihood_is_the_loss_of_the_expected_answer() -> None:
    assert LAB.tokenizer is not None
    answer = ask(LAB.model, LAB.tokenizer, Parroted(), [Question("abc def", " ", ("gh",), "ghi")], "likelihood")[0]
    ids = LAB.tokenizer.encode("abc def ghi")
    nll = np.asarray(LAB.nll([ids]))[0]
    start = common_prefix_length(LAB.tokenizer.encode("abc def "), ids)
    assert answer.nll == pytest.approx(nll[start - 1 :].mean(), rel=1e-5)


def test_a_seam_that_the_tokenizer_joins_is_left_out_of_the_prompt() -> None:
    assert common_prefix_length([5, 6, 7], [5, 6, 8, 9]) == 2
    assert common_prefix_length([5, 6], [5, 6, 8]) == 2
    assert common_prefix_length([5, 6, 7], [5, 6, 7]) == 2, "something is left to judge"
    assert common_prefix_length([5], [6, 7]) == 1, "and something to judge it from"


@spec
class Cut(Parroted):
    """Ends with a line."""

    until: ClassVar[str] = "\n"


def test_an_answer_ends_where_the_family_says() -> None:
    class Chatty:
        """Says the same whatever it reads."""

        eos_id = None

        def encode(self, text: str) -> list[int]:
            return [1, 2]

        def decode(self, ids: list[int]) -> str:
            return "p" if len(ids) == 1 else "p 12\nline 13"

    answer = ask(LAB.model, Chatty(), Cut(), [Question("p", "", (" 12",), " 12")], "generation")[0]
    assert answer.said == " 12"
