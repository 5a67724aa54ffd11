"""Made-up tasks as evaluations: how often a model that was trained on one knows the answer, at any length.

An answer is right if every token that can be known is the likeliest, each given the true tokens before it. Questions
are those of the test: no training of any seed has drawn them.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ropelab.data.batch import Batch
from ropelab.data.positions import Consecutive
from ropelab.data.settings import BYTE_END_ID, Coder, encode_bytes
from ropelab.data.synthetic import TEST, make_examples
from ropelab.data.tasks import Task
from ropelab.evaluation.effective_context import question_distances
from ropelab.evaluation.evals.base import Case, EvalContext, Evaluation, Measurement
from ropelab.spec import at_least, require, spec

TOKENS_PER_BATCH = 8192  # tokens of examples that are read at once


@spec
class TaskEval(Evaluation):
    """A task at windows of the lengths.

    Attributes:
        task: what is asked.
        trials: examples at each length, and at each distance.
        distances: how many of PI's, for a task that has a distance; 0 leaves the task as it is.
    """

    task: Task
    trials: int = 100
    distances: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "trials")
        at_least(0, self, "distances")
        known = not self.distances or hasattr(self.task, "distance")
        require(known, self, f"{self.task!r} has no distance; leave out distances={self.distances}")

    def units(self, lengths: Sequence[int]) -> list[Case]:
        return [Case(length, depth, self.trials) for length in lengths for depth in self.places(length)]

    def places(self, length: int) -> list[float | None]:
        """Depths of PI's distances, those at which the task cannot be asked left out."""
        if not self.distances:
            return [None]
        asked = [k for k in question_distances(length, self.distances) if k >= self.task.shortest(coder())]
        return [1 - k / length for k in asked]

    def protocol(self) -> str:
        return (
            f"{self.task!r}, test examples; right if every known token is the likeliest given the true ones before it"
        )

    def asked(self, unit: Case) -> Task:
        """The task of a unit, at its distance."""
        if unit.depth is None:
            return self.task
        task: Any = self.task
        least = task.shortest(coder())
        around = dataclasses.replace(task, distance=least).shortest(coder()) - least  # the answer, and the sign
        distance = round((1 - unit.depth) * unit.length)
        return dataclasses.replace(task, distance=min(distance, unit.length - around))

    def check(self, bench: EvalContext, unit: Case) -> None:
        bench.model.check_positions(unit.length)
        task, known = self.asked(unit), bench.model.config.vocabulary
        task.check(unit.length, coder())
        require(task.vocabulary <= known, self, f"the task has {task.vocabulary} tokens, the model knows {known}")

    def measure(self, bench: EvalContext, unit: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        task, rows = self.asked(unit), max(1, TOKENS_PER_BATCH // unit.length)
        whole, right, known = 0, 0, 0
        for first in range(0, self.trials, rows):
            numbers = range(first, min(first + rows, self.trials))
            batch = make_examples(task, Consecutive(), numbers, unit.length - 1, (bench.seed, TEST), coder())
            hit, asked = hits(bench, batch)
            whole += int(np.sum((hit | ~asked).all(axis=1)))
            right, known = right + int(np.sum(hit & asked)), known + int(asked.sum())
            advance(len(numbers))
        yield Measurement("", whole / self.trials, self.trials)
        yield Measurement("token", right / known, known)


def hits(bench: EvalContext, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """`(hit, asked)`, bool[B, T]: which targets are the likeliest, and which are asked for."""
    logits_BTV = np.asarray(bench.model.logits(batch.tokens, segments=batch.segments))
    return logits_BTV.argmax(axis=-1) == batch.targets, batch.weights > 0


def coder() -> Coder:
    """Bytes, for the tasks that have words."""
    return Coder(encode_bytes, BYTE_END_ID)
