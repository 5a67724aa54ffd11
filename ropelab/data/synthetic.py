"""Synthetic tasks as data: their specs, their rows, and the passkey task.

Row r of batch n of B rows is example n B + r of the seed, so examples depend on neither the process nor the history.
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

PASSKEY_TASK = (
    "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. I will quiz you "
    "about the important information there.\n"
)
PASSKEY_FILLER = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. "
PASSKEY_STATEMENT = "\nThe pass key is {0}. Remember it. {0} is the pass key.\n"
PASSKEY_QUESTION = "\nWhat is the pass key? The pass key is"
_PASSKEY_ANSWER = " {0}"
_PASSKEY_PARTS = (PASSKEY_TASK, PASSKEY_STATEMENT, PASSKEY_QUESTION, _PASSKEY_ANSWER)


@spec
class Passkey(Task):
    """A number hidden in filler text that must be repeated at the end; the only task that is text.

        There is an important info hidden ... | The grass is green. ... | The pass key is 71432. ... | The grass is
        green. ... | What is the pass key? The pass key is 71432

    The number is random, and so is its place between two repetitions of the filler. Filler fills the window, whose last
    tokens are the number. Only the number at the end has a loss. Tokens are those of the settings' tokenizer.

    Source: Mohtashami and Jaggi, arXiv 2305.16300, section 4.2, with its text word by word.

    Attributes:
        digits: the number of digits; the first one is not 0.
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
        return sum(len(text.ids(part.format("").encode())) for part in _PASSKEY_PARTS) + 3 * self.digits

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        number = int(rng.integers(10 ** (self.digits - 1), 10**self.digits))
        parts = (np.asarray(text.ids(part.format(number).encode())) for part in _PASSKEY_PARTS)
        task, statement, question, answer = parts
        filler = np.asarray(text.ids(PASSKEY_FILLER.encode()))
        free = window - sum(len(part) for part in (task, statement, question, answer))
        self.check(window + min(free, 0), text)
        before = int(rng.integers(free // len(filler), endpoint=True)) * len(filler)
        before, after = (np.resize(filler, count) for count in (before, free - before))
        tokens = np.concatenate([task, before, statement, after, question, answer])
        return Example(tokens, np.arange(window) >= window - len(answer))


TASKS: dict[str, type[Task]] = {
    kind.__name__: kind
    for kind in (Copy, Reverse, Sort, Parity, Addition, AssociativeRecall, Counting, Index, Needle, Passkey)
}
_SPEC = re.compile(r"\s*[A-Z]\w*\s*(\(.*\)\s*)?", re.DOTALL)
TRAIN, TEST = 0, 1  # part of the seed, so that the two never share examples
_EXAMPLE, _POSITION = 0, 1  # purposes of random numbers, part of their seeds


def parse_task(source: str) -> Task | None:
    """Parse a source such as "Copy(symbols=16)"; None if it does not look like the spec of a task.

    Raises:
        ValueError: for an unknown task or field, with the nearest known one, or a value that is not allowed.
    """
    return specs.parse(source, TASKS, kind="task") if _SPEC.fullmatch(source) else None


def make_examples(
    task: Task, positions: Positions, numbers: range, length: int, seed: tuple[int, int], text: Coder
) -> Batch:
    """Make a batch of examples, one per row.

    Args:
        numbers: the indices of the examples.
        length: T, the predictions per row; examples have T + 1 tokens.
        seed: the seed of the run, and `TRAIN` or `TEST`.
    """
    shape = len(numbers), length + 1
    windows, known = np.zeros(shape, np.int32), np.zeros(shape, bool)
    segments = np.full(shape, -1, np.int32)
    for row, number in enumerate(numbers):
        example = task.example(np.random.default_rng([*seed, _EXAMPLE, number]), length + 1, text)
        used = len(example.tokens)
        windows[row, :used], known[row, :used], segments[row, :used] = example.tokens, example.known, 0
    token_positions = positions.place(
        segments[:, :-1], lambda row: np.random.default_rng([*seed, _POSITION, numbers[row]])
    )
    return make_batch(windows, segments, token_positions, separate=False, known=known[:, 1:])
