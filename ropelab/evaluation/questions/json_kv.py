"""A JSON object of random keys and values, one of which is asked for.

Source: Liu et al., Lost in the Middle, arXiv 2307.03172; nelson-liu/lost-in-the-middle 29b8a6d, kv_retrieval.prompt,
word by word. HELMET's json_kv asks the same. A unit is a pair, 80 characters.
"""

from typing import ClassVar

import numpy as np

from ropelab.evaluation.questions.base import Question, Questions, choose_place
from ropelab.evaluation.questions.words import uuid4
from ropelab.spec import spec

TASK = "Extract the value corresponding to the specified key in the JSON object below.\n\nJSON data:\n"
QUESTION = '\n\nKey: "{}"\nCorresponding value:'


@spec
class JsonKV(Questions):
    """One value of many."""

    new_tokens: ClassVar[int] = 64

    def question(self, rng: np.random.Generator, units: int, depth: float | None, length: int) -> Question:
        pairs = [(uuid4(rng), uuid4(rng)) for _ in range(units)]
        asked = choose_place(rng, depth, units)
        lines = [f'"{key}": "{value}"' for key, value in pairs]
        told = len(TASK) + 1 + sum(len(line) + 3 for line in lines[:asked])
        key, value = pairs[asked]
        prompt = TASK + "{" + ",\n ".join(lines) + "}" + QUESTION.format(key)
        return Question(prompt, "", (value,), f' "{value}"', told / len(prompt))
