"""Claims of papers, and how a reading is asked about them.

A claim is a margin: a number per seed that is above 0 if the claim holds there. Its verdict is

- *reproduced* if it holds in every seed and Student's 95 % interval of the mean margin is above 0;
- *direction only* if it holds in every seed and the interval includes 0, or there is none, as with one seed: three
  seeds agree on a sign by chance in one of four cases where there is no difference at all;
- *not reproduced* if it fails in one seed;
- *not testable at this size* where what it is about was not run.

What is computed instead of sampled, such as an identity of angles or a count of operations, needs no interval.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ropelab.evaluation.intervals import mean_and_half_width
from ropelab.reporting.numbers import log_ratio, number, perplexity
from ropelab.reporting.page import Verdict
from ropelab.reporting.readings import Column, Readings, seeds


class Missing(KeyError):
    """A claim asks for what was not measured."""


class One:
    """The readings of one seed: `one("yarn2", 1024)`."""

    def __init__(self, readings: Readings, seed: int):
        self.readings, self.seed = readings, seed

    def __call__(self, arm: str, column: Column) -> float:
        try:
            return self.readings[arm][column][self.seed].value
        except KeyError:
            raise Missing(f"{arm} at {column}") from None

    def columns(self, arm: str) -> list[Column]:
        """What was measured of an arm with this seed.

        Raises:
            Missing: if nothing was.
        """
        found = [c for c, numbers in self.readings.get(arm, {}).items() if self.seed in numbers]
        if not found:
            raise Missing(arm)
        return sorted(found, key=lambda c: (isinstance(c, str), c))


def percent(margin: float) -> str:
    """A logarithm of a ratio as per cent."""
    if math.isnan(margin):
        return "nan"
    return f"{100 * math.expm1(margin):+.1f} %" if margin < 3 else f"{perplexity(margin):.0f} times"


def plain(margin: float) -> str:
    return f"{'+' if margin >= 0 else ''}{number(margin, 3)}"


class Claim(NamedTuple):
    """What a paper says, in words and as a margin.

    Attributes:
        margin: above 0 where the claim holds; raises `Missing` if it cannot be said.
        shown: a margin as text.
        why: why it may not be testable, as a sentence.
        exact: whether the numbers are computed and the same for every seed, so that a claim needs no interval.
    """

    text: str
    margin: Callable[[One], float]
    shown: Callable[[float], str] = percent
    why: str = "its arms are not part of this size"
    exact: bool = False


def below(low: tuple[str, Column], high: tuple[str, Column], *, times: float = 1.0) -> Callable[[One], float]:
    """`times` low is below high: the logarithm of their ratio."""
    return lambda one: log_ratio(one(*high), times * one(*low))


def falling(arm: str, start: int = 0) -> Callable[[One], float]:
    """Each number is below the one before it, from a column on: the smallest of the logarithms of their ratios."""

    def margin(one: One) -> float:
        values = [one(arm, c) for c in one.columns(arm) if isinstance(c, int) and c >= start]
        if len(values) < 2:
            raise Missing(arm)
        return min(log_ratio(a, b) for a, b in itertools.pairwise(values))

    return margin


def judged(claims: Sequence[Claim], readings: Readings) -> list[Verdict]:
    """What became of every claim."""
    return [verdict(claim, readings) for claim in claims]


def verdict(claim: Claim, readings: Readings) -> Verdict:
    margins = []
    for seed in seeds(readings):
        try:
            margins.append(claim.margin(One(readings, seed)))
        except Missing:
            continue
    if not margins:
        return Verdict(claim.text, "not testable at this size", why=claim.why)
    good = sum(margin > 0 for margin in margins)
    middle, half = interval(margins)
    if good < len(margins):
        word = "not reproduced"
    else:
        word = "reproduced" if claim.exact or (half is not None and middle - half > 0) else "direction only"
    shown = claim.shown
    text = f"{shown(middle)} [{shown(middle - half)}, {shown(middle + half)}]" if half else shown(middle)
    return Verdict(claim.text, word, (good, len(margins)), text)


def interval(margins: Sequence[float]) -> tuple[float, float | None]:
    """The mean and the half-width of its 95 % interval; None where there is none: one seed, or a non-finite value."""
    if not all(map(math.isfinite, margins)):
        return next(margin for margin in margins if not math.isfinite(margin)), None
    middle, half = mean_and_half_width(margins)
    return middle, half if len(margins) > 1 else None
