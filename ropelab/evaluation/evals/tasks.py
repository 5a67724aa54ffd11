"""Synthetic tasks as evaluations: how often a model trained on one knows the answer, at any length.

An answer is right if every token that can be known is the most likely one, each given the true tokens before it.
Questions are those of the test split: no training of any seed has sampled them.
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

    def cases(self, lengths: Sequence[int]) -> list[Case]:
        return [Case(length, depth, self.trials) for length in lengths for depth in self.depths_at(length)]

    def depths_at(self, length: int) -> list[float | None]:
        """Depths of PI's distances, those at which the task cannot be asked left out."""
        if not self.distances:
            return [None]
        asked = [k for k in question_distances(length, self.distances) if k >= self.task.shortest(coder())]
        return [1 - k / length for k in asked]

    def protocol(self) -> str:
        return (
            f"{self.task!r}, test examples; right if every known token is the most likely one given the true ones "
            "before it"
        )

    def task_at(self, case: Case) -> Task:
        """The task of a case, at its distance."""
        if case.depth is None:
            return self.task
        task: Any = self.task
        least = task.shortest(coder())
        around = dataclasses.replace(task, distance=least).shortest(coder()) - least  # the answer, and the sign
        distance = round((1 - case.depth) * case.length)
        return dataclasses.replace(task, distance=min(distance, case.length - around))

    def check(self, context: EvalContext, case: Case) -> None:
        context.model.check_positions(case.length)
        task, known = self.task_at(case), context.model.config.vocabulary
        task.check(case.length, coder())
        require(task.vocabulary <= known, self, f"the task has {task.vocabulary} tokens, the model knows {known}")

    def measure(self, context: EvalContext, case: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        task, rows = self.task_at(case), max(1, TOKENS_PER_BATCH // case.length)
        whole, right, known = 0, 0, 0
        for first in range(0, self.trials, rows):
            numbers = range(first, min(first + rows, self.trials))
            batch = make_examples(task, Consecutive(), numbers, case.length - 1, (context.seed, TEST), coder())
            hit, asked = hits(context, batch)
            whole += int(np.sum((hit | ~asked).all(axis=1)))
            right, known = right + int(np.sum(hit & asked)), known + int(asked.sum())
            advance(len(numbers))
        yield Measurement("score", whole / self.trials, self.trials)
        yield Measurement("token", right / known, known)


def hits(context: EvalContext, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """`(hit, asked)`, bool[B, T]: which targets are the most likely tokens, and which are asked for."""
    logits_BTV = np.asarray(context.model.logits(batch.tokens, segments=batch.segments))
    return logits_BTV.argmax(axis=-1) == batch.targets, batch.weights > 0


def coder() -> Coder:
    """Bytes, for the tasks that have words."""
    return Coder(encode_bytes, BYTE_END_ID)
