"""Families of questions: prompts of any length, generated from a seed, whose answers are known.

A prompt is made of units, a line or a round of filler, of which as many are taken as fit. Question i of a seed and a
length is always the same, whoever asks, whatever else is asked; another tokenizer fits another number of units.
"""

import re
import string
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from ropelab.spec import Spec

Scorer = Callable[[str, Sequence[str]], float]


def share_contained(said: str, wanted: Sequence[str]) -> float:
    """The share of the wanted strings that occur in what was said, capitals or not (RULER's string_match_all)."""
    said = said.lower()
    return sum(one.lower() in said for one in wanted) / len(wanted)


def first_integer(said: str, wanted: Sequence[str]) -> float:
    """Whether the first integer said is the wanted one (the passkey of Landmark attention, PI and YaRN)."""
    found = re.search(r"\d+", said)
    return float(found is not None and int(found.group()) == int(wanted[0]))


def last_integer(said: str, wanted: Sequence[str]) -> float:
    """Whether the last integer said is the wanted one (LongEval's lines)."""
    found = re.findall(r"\d+", said)
    return float(bool(found) and int(found[-1]) == int(wanted[0]))


def contains_topic(said: str, wanted: Sequence[str]) -> float:
    """Whether the wanted phrase occurs, without regard to capitals, punctuation, articles and spaces.

    LongEval asks another model whether two topics are the same; this is stricter, and the same on every machine.
    """
    return float(normalise_text(wanted[0]) in normalise_text(said))


def normalise_text(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (SQuAD's normalisation)."""
    bare = text.lower().translate(str.maketrans(string.punctuation, " " * len(string.punctuation)))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


CountTokens = Callable[[str], int]


class Question(NamedTuple):
    """A question and what answers it.

    Attributes:
        prompt: what is read.
        prefix: how an answer begins; appended for models that continue text rather than talk.
        answers: what an answer has to contain.
        expected: the answer as a continuation of prompt and prefix, which likelihoods are taken of.
        depth: where in the prompt the answer is, 0 its beginning and 1 its end; None if at no one place.
    """

    prompt: str
    prefix: str
    answers: tuple[str, ...]
    expected: str
    depth: float | None = None


class Fitted(NamedTuple):
    """A question that fits, with the units and the tokens that it is made of."""

    question: Question
    units: int
    tokens: int


class Questions(Spec):
    """A family of questions.

    Attributes:
        new_tokens: room for the answer, which counts towards the length.
        fewest: units of the shortest prompt.
        places: whether a question is asked at a depth.
        until: where an answer that the prefix has begun ends, if not with the room for it.
    """

    new_tokens: ClassVar[int]
    fewest: ClassVar[int] = 1
    places: ClassVar[bool] = True
    until: ClassVar[str] = ""

    def score(self, said: str, wanted: Sequence[str]) -> float:
        """How right an answer is, from 0 to 1."""
        return share_contained(said, wanted)

    def question(self, rng: np.random.Generator, units: int, depth: float | None, length: int) -> Question:
        """A question whose prompt has so many units.

        Args:
            depth: where the answer is; sampled if None.
            length: tokens that the prompt is made for, by which some families choose their proportions.
        """
        raise NotImplementedError


def fit_question(
    family: Questions, length: int, count_tokens: CountTokens, *, seed: int, number: int, depth: float | None = None
) -> Fitted:
    """Question `number` with the most units that fit: prompt, prefix and room for the answer are at most `length`.

    Raises:
        ValueError: if not even the shortest question fits.
    """

    def made(units: int) -> tuple[Question, int]:
        question = family.question(np.random.default_rng([seed, number]), units, depth, length)
        return question, count_tokens(question.prompt + question.prefix) + family.new_tokens

    fits, tokens = family.fewest, made(family.fewest)[1]
    if tokens > length:
        raise ValueError(
            f"{family!r} needs {tokens} tokens at least, {family.new_tokens} of them for the answer; length={length}"
        )
    per_unit = max((made(family.fewest + 8)[1] - tokens) / 8, 0.5)
    too_many = family.fewest + int(1.5 * (length - tokens) / per_unit) + 16
    while made(too_many)[1] <= length:
        fits, too_many = too_many, 2 * too_many
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if made(middle)[1] <= length:
            fits = middle
        else:
            too_many = middle
    question, tokens = made(fits)
    return Fitted(question, fits, tokens)


def choose_place(rng: np.random.Generator, depth: float | None, count: int) -> int:
    """Return one of `count` places in order: the nearest to a depth, or a sampled one.

    Raises:
        ValueError: for a depth outside 0 and 1.
    """
    if depth is None:
        return int(rng.integers(count))
    if not 0 <= depth <= 1:
        raise ValueError(f"depth={depth} must lie between 0, the beginning, and 1, the end")
    return round(depth * (count - 1))
