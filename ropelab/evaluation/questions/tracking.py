"""RULER's variable tracking: which variables have a value, some of them by way of others.

    VAR ABCDE = 12345 | VAR FGHIJ = VAR ABCDE | ...      hidden in noise, in order, asked for all names

One chain of `hops` assignments after the first; an answered example with variables of its own stands before the
question, in five rounds of noise where RULER takes as many as make 500 tokens. Source: Hsieh et al., arXiv 2404.06654;
NVIDIA/RULER c3f5e3b, scripts/data/synthetic/variable_tracking.py and constants.py. A unit is a round of noise.
"""

import itertools
import string
from typing import ClassVar

import numpy as np

from ropelab.evaluation.questions.base import Question, Questions
from ropelab.evaluation.questions.needles import NOISE
from ropelab.spec import at_least, spec

TASK = "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n"
QUESTION = "\nQuestion: Find all variables that are assigned the value {} in the text above."
PREFIX = (
    " Answer: According to the chain(s) of variable assignment in the text above, {} variables are assigned the value "
    "{}, they are: "
)
EXAMPLE_UNITS = 5  # rounds of noise in the answered example


@spec
class VariableTracking(Questions):
    """Attributes:
    hops: assignments of one variable to another.
    """

    new_tokens: ClassVar[int] = 30
    places: ClassVar[bool] = False
    fewest: ClassVar[int] = EXAMPLE_UNITS

    hops: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "hops")

    def question(self, rng: np.random.Generator, units: int, depth: float | None, length: int) -> Question:
        example, begun, solved = self.asked(rng, max(EXAMPLE_UNITS, self.hops + 1), letters=3)
        prompt, prefix, names = self.asked(rng, max(units, self.hops + 1), letters=5)
        shown = f"{example}{begun} {' '.join(solved)}\n\n"
        return Question(shown + prompt, prefix, tuple(names), " ".join(names))

    def asked(self, rng: np.random.Generator, units: int, letters: int) -> tuple[str, str, list[str]]:
        """`(prompt, prefix, names)` of one chain."""
        names = different_names(rng, self.hops + 1, letters)
        value = str(rng.integers(10000, 99999))
        chain = [f"VAR {names[0]} = {value}"]
        chain += [f"VAR {name} = VAR {before} " for before, name in itertools.pairwise(names)]
        lines = [NOISE] * units
        places = sorted(rng.choice(units, len(chain), replace=False))
        for moved, (at, assignment) in enumerate(zip(places, chain, strict=True)):
            lines.insert(int(at) + moved, assignment)
        text = "\n".join(lines).replace(". \n", ".\n")
        return TASK + text + QUESTION.format(value), PREFIX.format(len(names), value), names


def different_names(rng: np.random.Generator, count: int, letters: int) -> list[str]:
    """Names of capital letters."""
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(string.ascii_uppercase[i] for i in rng.integers(26, size=letters))] = None
    return list(found)
