"""What an evaluation is: units of work on one arm, each of which gives records that merge.

A unit is what is measured at once and kept: one length, or one length and depth. A record is a mean and how many things
it is a mean of, so that records of parts add up to the record of the whole:

    arm, eval, length, depth, value, count, deviation, seed, protocol

`eval` is the evaluation's name, with a dot and the number's where it has several: "perplexity.nll", "passkey".
`deviation` is the standard deviation of the things, where they are independent enough for an interval.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ropelab.evaluation.answers import TokenizerLike
from ropelab.evaluation.record import pool
from ropelab.models.module import Model
from ropelab.spec import Spec


class EvalContext(NamedTuple):
    """What an evaluation works on.

    Attributes:
        model: of the arm.
        tokenizer: None if the model has none, which evaluations of text refuse.
        text_T: tokens of the text that is measured on.
        seed: of everything drawn.
    """

    model: Model
    tokenizer: TokenizerLike | None
    text_T: np.ndarray
    seed: int


class Case(NamedTuple):
    """One piece of work.

    Attributes:
        length: tokens of context.
        depth: where the answer is told, for evaluations that ask at depths.
        trials: how many texts or questions.
    """

    length: int
    depth: float | None
    trials: int


class Measurement(NamedTuple):
    """One number of a unit.

    Attributes:
        name: "" for the evaluation's own number, or what comes after the dot.
        value: the mean of something.
        over: how many things.
        deviation: their standard deviation, as `spread` has it; None if it is not known, or means nothing.
    """

    name: str
    value: float
    over: int
    deviation: float | None = None


class Evaluation(Spec):
    """An evaluation. A frozen value, whose `repr` names what it did."""

    def units(self, lengths: Sequence[int]) -> list[Case]:
        """The work at these lengths."""
        raise NotImplementedError

    def protocol(self) -> str:
        """How its numbers are made, in one line."""
        raise NotImplementedError

    def reads(self) -> str:
        """A digest of what it reads besides the bench, so that nothing stale is taken for a measurement of it."""
        return ""

    def check(self, bench: EvalContext, unit: Case) -> None:
        """Raise `ValueError` if the unit cannot be measured; before anything is compiled."""

    def measure(self, bench: EvalContext, unit: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        """The numbers of a unit.

        Args:
            advance: told how many of the unit's trials are done, as they are.
        """
        raise NotImplementedError


def recorded(found: Measurement, arm: str, evaluation: str, unit: Case, *, seed: int, protocol: str) -> dict[str, Any]:
    """The record of one number; what is not finite is None."""
    return {
        "arm": arm,
        "eval": f"{evaluation}.{found.name}" if found.name else evaluation,
        "length": unit.length,
        "depth": unit.depth,
        "value": found.value if np.isfinite(found.value) else None,
        "count": found.over,
        "deviation": found.deviation,
        "seed": seed,
        "protocol": protocol,
    }


def merged(records: Iterable[dict[str, Any]], *, over_depths: bool = False) -> list[dict[str, Any]]:
    """One record for each arm, evaluation, length and depth, in the order first seen: what was measured in parts, on
    several processes or with several seeds, as if it had been measured at once.

    Args:
        over_depths: one record for all depths of a length.
    """
    same = [name for name in ("arm", "eval", "length", "depth", "protocol") if not (over_depths and name == "depth")]
    found: dict[tuple, dict[str, Any]] = {}
    for record in records:
        key = tuple(record[name] for name in same)
        if key not in found:
            found[key] = dict(record) | ({"depth": None} if over_depths else {})
        elif found[key]["value"] is None or not found[key]["count"]:
            found[key] |= {name: record[name] for name in PARTS}
        elif record["value"] is not None and record["count"]:
            both = [tuple(one[name] for name in PARTS) for one in (found[key], record)]
            found[key] |= dict(zip(PARTS, pool(*both), strict=True))
    return list(found.values())


PARTS = ("value", "count", "deviation")
