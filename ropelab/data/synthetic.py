"""Made-up tasks as data: the spec strings that mean them, and their rows.

Row r of batch n of B rows is example n B + r of the seed, so that what is drawn depends on no process and no history.
"""

import re

import numpy as np

from ropelab import spec as specs
from ropelab.data.batch import Batch, make_batch
from ropelab.data.positions import Positions
from ropelab.data.settings import BYTE_VOCAB_SIZE, Coder
from ropelab.data.tasks import (
    Addition,
    AssociativeRecall,
    Copy,
    Counting,
    Example,
    Index,
    Needle,
    Parity,
    Reverse,
    Sort,
    Task,
)
from ropelab.spec import at_least, require, spec

# A number hidden in text that says nothing, and asked for at the end.
#
#     There is an important info hidden ... | The grass is green. ... | The pass key is 71432. ... | The grass is
#     green. ... | What is the pass key? The pass key is 71432
#
# The number is drawn, and so is where in the filler it is told, between two rounds of it. Filler fills the window to
# its last token, the number asked for ends it. The loss asks for that number alone.
#
# Source: Mohtashami and Jaggi, arXiv 2305.16300, section 4.2, its text word by word.

PASSKEY_TASK = (
    "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. I will quiz you "
    "about the important information there.\n"
)
PASSKEY_FILLER = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. "
PASSKEY_STATEMENT = "\nThe pass key is {0}. Remember it. {0} is the pass key.\n"
PASSKEY_QUESTION = "\nWhat is the pass key? The pass key is"
PASSKEY_ANSWER = " {0}"


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
        return BYTE_VOCAB_SIZE

    def shortest(self, text: Coder) -> int:
        words = sum(
            len(text.ids(part.format("").encode()))
            for part in (PASSKEY_TASK, PASSKEY_STATEMENT, PASSKEY_QUESTION, PASSKEY_ANSWER)
        )
        return words + 3 * self.digits

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        number = int(rng.integers(10 ** (self.digits - 1), 10**self.digits))
        parts = (PASSKEY_TASK, PASSKEY_STATEMENT, PASSKEY_QUESTION, PASSKEY_ANSWER)
        task, told, question, answer = (np.asarray(text.ids(part.format(number).encode())) for part in parts)
        filler = np.asarray(text.ids(PASSKEY_FILLER.encode()))
        free = window - sum(len(part) for part in (task, told, question, answer))
        self.check(window + min(free, 0), text)
        before = int(rng.integers(free // len(filler), endpoint=True)) * len(filler)
        before, after = (np.resize(filler, count) for count in (before, free - before))
        tokens = np.concatenate([task, before, told, after, question, answer])
        return Example(tokens, np.arange(window) >= window - len(answer))


TASKS: dict[str, type[Task]] = {
    kind.__name__: kind
    for kind in (Copy, Reverse, Sort, Parity, Addition, AssociativeRecall, Counting, Index, Needle, Passkey)
}
_SPEC = re.compile(r"\s*[A-Z]\w*\s*(\(.*\)\s*)?", re.DOTALL)
TRAIN, TEST = 0, 1  # examples of neither are those of the other
_EXAMPLE, _POSITION = 0, 1  # what numbers are drawn for


def parse_task(source: str) -> Task | None:
    """The task that a source such as "Copy(symbols=16)" means, None if it is not written like one.

    Raises:
        ValueError: for a task or a field that is not known, with the nearest that is, or a refused value.
    """
    return specs.parse(source, TASKS, kind="task") if _SPEC.fullmatch(source) else None


def make_examples(
    task: Task, positions: Positions, numbers: range, length: int, seed: tuple[int, int], text: Coder
) -> Batch:
    """The examples of these numbers, a row each.

    Args:
        length: T, the predictions of a row; examples are of T + 1 tokens.
        seed: the run's, and `TRAIN` or `TEST`.
    """
    shape = len(numbers), length + 1
    windows, known = np.zeros(shape, np.int32), np.zeros(shape, bool)
    segments = np.full(shape, -1, np.int32)
    for row, number in enumerate(numbers):
        example = task.example(np.random.default_rng([*seed, _EXAMPLE, number]), length + 1, text)
        used = len(example.tokens)
        windows[row, :used], known[row, :used], segments[row, :used] = example.tokens, example.known, 0
    placed = positions.place(segments[:, :-1], lambda row: np.random.default_rng([*seed, _POSITION, numbers[row]]))
    return make_batch(windows, segments, placed, separate=False, known=known[:, 1:])
