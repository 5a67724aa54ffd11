"""Made-up tasks as data: the spec strings that mean them, and their rows.

Row r of batch n of B rows is example n B + r of the seed, so that what is drawn depends on no process and no history.
"""

import re

import numpy as np

from ropelab import spec
from ropelab.data.batch import Batch, from_windows
from ropelab.data.more_symbols import Addition, Index, Needle, Parity, Sort
from ropelab.data.passkey import Passkey
from ropelab.data.positions import Positions
from ropelab.data.resuming import Resumable, Wanted
from ropelab.data.settings import DataSettings
from ropelab.data.symbols import AssociativeRecall, Copy, Counting, Reverse
from ropelab.data.tasks import Task
from ropelab.data.tokens import Coder

TASKS: dict[str, type[Task]] = {
    kind.__name__: kind
    for kind in (Copy, Reverse, Sort, Parity, Addition, AssociativeRecall, Counting, Index, Needle, Passkey)
}
WRITTEN_AS_ONE = re.compile(r"\s*[A-Z]\w*\s*(\(.*\)\s*)?", re.DOTALL)
TRAIN, TEST = 0, 1  # examples of neither are those of the other
EXAMPLE, PLACE = 0, 1  # what numbers are drawn for


def task_of(source: str) -> Task | None:
    """The task that a source such as "Copy(symbols=16)" means, None if it is not written like one.

    Raises:
        ValueError: for a task or a field that is not known, with the nearest that is, or a refused value.
    """
    return spec.parse(source, TASKS, kind="task") if WRITTEN_AS_ONE.fullmatch(source) else None


class TaskStream(Resumable):
    """Rows of a task's examples.

    Raises:
        ValueError: if no example fits into the window.
    """

    def __init__(self, task: Task, settings: DataSettings, want: Wanted, text: Coder) -> None:
        task.check(want.length + 1, text)
        super().__init__(repr(task), want, tokenizer=settings.tokenizer)
        self.task, self.settings, self.text = task, settings, text

    def __next__(self) -> Batch:
        first = self.batches * self.want.batch
        numbers = range(first + self.want.rows.start, first + self.want.rows.stop)
        self.batches += 1
        return examples(
            self.task, self.settings.positions, numbers, self.want.length, (self.want.seed, TRAIN), self.text
        )


def examples(
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
        example = task.example(np.random.default_rng([*seed, EXAMPLE, number]), length + 1, text)
        used = len(example.tokens)
        windows[row, :used], known[row, :used], segments[row, :used] = example.tokens, example.known, 0
    placed = positions.place(segments[:, :-1], lambda row: np.random.default_rng([*seed, PLACE, numbers[row]]))
    return from_windows(windows, segments, placed, separate=False, known=known[:, 1:])
