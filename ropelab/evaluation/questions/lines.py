"""LongEval's lines: a record of names and numbers, one of which is asked for.

    line torpid-kid: REGISTER_CONTENT is <2416>

The name is an adjective and a noun, the number from 1 to 50000; the last integer of an answer counts. Source:
LongEval, DachengLi1/LongChat 4b5faa5, longeval/utils.py, its prompt word by word; for models that continue text the
answer is begun as a line is. A unit is a line. Their lengths are 200 to 680 lines; here a length is in tokens.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ropelab.evaluation.questions.base import Question, Questions, choose_place, last_integer
from ropelab.evaluation.questions.words import word_pairs
from ropelab.spec import spec

HEADER = (
    "Below is a record of lines I want you to remember. Each line begins with 'line <line index>' and contains a "
    "'<REGISTER_CONTENT>' at the end of the line as a numerical value. For each line index, memorize its corresponding "
    "<REGISTER_CONTENT>. At the end of the record, I will ask you to retrieve the corresponding <REGISTER_CONTENT> of "
    "a certain line index. Now the record start:\n\n"
)
LINE = "line {}: REGISTER_CONTENT is <{}>\n"
QUESTION = "\nNow the record is over. Tell me what is the <REGISTER_CONTENT> in line {}? I need the number. "
PREFIX = "\nline {}: REGISTER_CONTENT is <"
LARGEST = 50000


@spec
class Lines(Questions):
    """One line of many."""

    new_tokens: ClassVar[int] = 32  # LongEval leaves 100, of which an answer of this form uses a tenth
    until: ClassVar[str] = "\n"  # a model that continues text goes on with other lines, and their integers are last

    def score(self, said: str, wanted: Sequence[str]) -> float:
        return last_integer(said, wanted)

    def question(self, rng: np.random.Generator, units: int, depth: float | None, length: int) -> Question:
        names, numbers = word_pairs(rng, units), rng.integers(1, LARGEST + 1, units)
        asked = choose_place(rng, depth, units)
        record = [LINE.format(name, number) for name, number in zip(names, numbers, strict=True)]
        prompt = HEADER + "".join(record) + QUESTION.format(names[asked])
        told = len(HEADER) + sum(map(len, record[:asked]))
        answer = str(numbers[asked])
        return Question(prompt, PREFIX.format(names[asked]), (answer,), answer, told / len(prompt))
