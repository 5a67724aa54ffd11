"""A number hidden in text that says nothing.

    There is an important info hidden ... | The grass is green. ... | The pass key is 71432. ...
    | The grass is green. ... | What is the pass key? The pass key is

Source: Mohtashami and Jaggi, arXiv 2305.16300; the text of its repository, which PI and YaRN ask. A unit is a round of
filler, 88 characters; the key stands between two of them.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ropelab.data.synthetic import PASSKEY_FILLER, PASSKEY_QUESTION, PASSKEY_STATEMENT, PASSKEY_TASK
from ropelab.evaluation.questions.base import Question, Questions, choose_place, first_integer
from ropelab.evaluation.questions.words import number
from ropelab.spec import at_least, require, spec


@spec
class Passkey(Questions):
    """Attributes:
    digits: of the number, the first of which is not 0.
    """

    new_tokens: ClassVar[int] = 10
    fewest: ClassVar[int] = 0

    digits: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "digits")
        require(self.digits <= 18, self, f"digits={self.digits} must be at most 18")

    def score(self, said: str, wanted: Sequence[str]) -> float:
        return first_integer(said, wanted)

    def question(self, rng: np.random.Generator, units: int, depth: float | None, length: int) -> Question:
        key = number(rng, self.digits)
        before = choose_place(rng, depth, units + 1)
        beginning = PASSKEY_TASK + PASSKEY_FILLER * before
        prompt = beginning + PASSKEY_STATEMENT.format(key) + PASSKEY_FILLER * (units - before) + PASSKEY_QUESTION
        return Question(prompt, "", (key,), f" {key}", len(beginning) / len(prompt))
