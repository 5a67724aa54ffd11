"""Claims of papers, and how a reading is asked about them.

A claim is a margin: a number for one seed that is above 0 if the claim holds there. It is *reproduced* if it holds in
every seed, *not reproduced* if it fails in one, and *not testable at this size* where what it speaks of was not run.
The mean margin is printed with Student's 95 % interval, which says how much of it the seeds decide.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ropelab.reporting.intervals import mean
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
    """

    text: str
    margin: Callable[[One], float]
    shown: Callable[[float], str] = percent
    why: str = "its arms are not part of this size"


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
    word = "reproduced" if good == len(margins) else "not reproduced"
    return Verdict(claim.text, word, (good, len(margins)), spread(margins, claim.shown))


def spread(margins: Sequence[float], shown: Callable[[float], str]) -> str:
    """The mean, and between what it lies; infinite ones have no interval."""
    middle, half = mean(margins) if all(map(math.isfinite, margins)) else (margins[0], 0.0)
    return f"{shown(middle)} [{shown(middle - half)}, {shown(middle + half)}]" if half else shown(middle)
