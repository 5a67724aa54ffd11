"""RULER's needles in haystacks that need no other text: noise, and needles themselves.

    One of the special magic numbers for torpid-kid is: 4831077.

    niah_single_1     NIAH(haystack="noise", keys="words", values="numbers")      the passkey, in other words
    niah_multikey_2   NIAH(haystack="needles", keys="words", values="numbers")    lines
    niah_multikey_3   NIAH(haystack="needles", keys="uuids", values="uuids")      a key-value store

Source: Hsieh et al., arXiv 2404.06654; NVIDIA/RULER c3f5e3b, scripts/data/synthetic/niah.py and constants.py, word by
word for one needle. A unit is a round of noise or a needle, each on a line of its own.
"""

from typing import ClassVar, Literal

import numpy as np

from ropelab.evaluation.questions.base import Question, Questions, choose_place
from ropelab.evaluation.questions.words import number, uuid4, word_pair
from ropelab.spec import spec

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
NEEDLE = "One of the special magic {}s for {} is: {}."
TASK = (
    "A special magic {0} is hidden within the following text. Make sure to memorize it. I will quiz you about the {0} "
    "afterwards.\n"
)
QUESTION = "\nWhat is the special magic {} for {} mentioned in the provided text?"
PREFIX = " The special magic {} for {} mentioned in the provided text is"
DIGITS = 7

Kind = Literal["words", "numbers", "uuids"]


@spec
class NIAH(Questions):
    """One needle is asked for.

    Attributes:
        haystack: "noise", or "needles" with other keys.
        keys, values: what a needle joins.
    """

    new_tokens: ClassVar[int] = 128

    haystack: Literal["noise", "needles"] = "noise"
    keys: Kind = "words"
    values: Kind = "numbers"

    def question(self, rng: np.random.Generator, units: int, depth: float | None, length: int) -> Question:
        singular = self.values[:-1]
        key, value = sample_value(self.keys, rng), sample_value(self.values, rng)
        hay = [NOISE] * units if self.haystack == "noise" else [self.needle(rng, key) for _ in range(units)]
        before = choose_place(rng, depth, units + 1)
        lines = [*hay[:before], NEEDLE.format(singular, key, value), *hay[before:]]
        beginning = TASK.format(singular) + "".join(f"{line}\n" for line in lines[:before])
        prompt = TASK.format(singular) + "\n".join(lines) + QUESTION.format(singular, key)
        return Question(prompt, PREFIX.format(singular, key), (value,), f" {value}", len(beginning) / len(prompt))

    def needle(self, rng: np.random.Generator, asked: str) -> str:
        """Another one than the one that is asked for."""
        key = asked
        while key == asked:
            key = sample_value(self.keys, rng)
        return NEEDLE.format(self.values[:-1], key, sample_value(self.values, rng))


def sample_value(kind: Kind, rng: np.random.Generator) -> str:
    """One key or value."""
    if kind == "words":
        return word_pair(rng)
    return number(rng, DIGITS) if kind == "numbers" else uuid4(rng)
