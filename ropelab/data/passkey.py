"""A number hidden in text that says nothing, and asked for at the end.

    There is an important info hidden ... | The grass is green. ... | The pass key is 71432. ... | The grass is
    green. ... | What is the pass key? The pass key is 71432

The number is drawn, and so is where in the filler it is told, between two rounds of it. Filler fills the window to its
last token, the number asked for ends it. The loss asks for that number alone.

Source: Mohtashami and Jaggi, arXiv 2305.16300, section 4.2, its text word by word.
"""

import numpy as np

from ropelab.data.tasks import Example, Task
from ropelab.data.tokens import BYTE_VOCABULARY, Coder
from ropelab.spec import at_least, require, spec

TASK = (
    "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. I will quiz you "
    "about the important information there.\n"
)
FILLER = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. "
TOLD = "\nThe pass key is {0}. Remember it. {0} is the pass key.\n"
QUESTION = "\nWhat is the pass key? The pass key is"
ANSWER = " {0}"


@spec
class Passkey(Task):
    """The one task that is text: its tokens are those of the settings' tokenizer.

    Attributes:
        digits: of the number, the first of which is not 0.
    """

    digits: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "digits")
        require(self.digits <= 18, self, f"digits={self.digits} must be at most 18")

    @property
    def vocabulary(self) -> int:
        return BYTE_VOCABULARY

    def shortest(self, text: Coder) -> int:
        words = sum(len(text.ids(part.format("").encode())) for part in (TASK, TOLD, QUESTION, ANSWER))
        return words + 3 * self.digits

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        number = int(rng.integers(10 ** (self.digits - 1), 10**self.digits))
        parts = (TASK, TOLD, QUESTION, ANSWER)
        task, told, question, answer = (np.asarray(text.ids(part.format(number).encode())) for part in parts)
        filler = np.asarray(text.ids(FILLER.encode()))
        free = window - sum(len(part) for part in (task, told, question, answer))
        self.check(window + min(free, 0), text)
        before = int(rng.integers(free // len(filler), endpoint=True)) * len(filler)
        before, after = (np.resize(filler, count) for count in (before, free - before))
        tokens = np.concatenate([task, before, told, after, question, answer])
        return Example(tokens, np.arange(window) >= window - len(answer))
