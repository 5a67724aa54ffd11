"""The interface of evaluations: cases to measure on one variant, each of which yields numbers for records.

A case is what is measured at once and kept in the store: one length, or one length and depth.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ropelab.evaluation.answers import TokenizerLike
from ropelab.models.module import Model
from ropelab.spec import Spec


class EvalContext(NamedTuple):
    """The inputs of an evaluation.

    Attributes:
        model: of the variant.
        tokenizer: None if the model has none, which evaluations of text refuse.
        text_T: tokens of the text that is measured on.
        seed: of everything sampled.
    """

    model: Model
    tokenizer: TokenizerLike | None
    text_T: np.ndarray
    seed: int


class Case(NamedTuple):
    """One piece of work.

    Attributes:
        length: tokens of context.
        depth: where the answer is, for evaluations with depths.
        trials: how many texts or questions.
    """

    length: int
    depth: float | None
    trials: int


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One number of a case.

    Attributes:
        metric: its name within the evaluation, such as "score" or "nll".
        value: the mean of some values.
        count: how many values.
        deviation: their standard deviation, or the jackknife's (`intervals`); None if it is unknown, or the values are
            not independent enough for an interval.
        first, last: the positions [first, last) that it is about; None for all.
        layer, head: for a number of one layer or head.
    """

    metric: str
    value: float
    count: int
    deviation: float | None = None
    _: dataclasses.KW_ONLY
    first: int | None = None
    last: int | None = None
    layer: int | None = None
    head: int | None = None


class Evaluation(Spec):
    """An evaluation: a frozen value whose `repr` names all settings."""

    def cases(self, lengths: Sequence[int]) -> list[Case]:
        """Return the work at these lengths."""
        raise NotImplementedError

    def protocol(self) -> str:
        """Return how its numbers are made, in one line."""
        raise NotImplementedError

    def reads(self) -> str:
        """Return a digest of inputs other than the context, so that a stale measurement is not reused."""
        return ""

    def check(self, context: EvalContext, case: Case) -> None:
        """Raise `ValueError` if the case cannot be measured; called before anything is compiled."""

    def measure(self, context: EvalContext, case: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        """Yield the numbers of a case.

        Args:
            advance: called with numbers of finished trials.
        """
        raise NotImplementedError
