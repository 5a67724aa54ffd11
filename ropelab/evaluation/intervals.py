"""How sure a number is: intervals of 95 % for shares and for means."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

K = TypeVar("K")

Z95 = 1.959963984540054
# Student's t at 97.5 % for 1 to 30 degrees of freedom: with three seeds a normal interval would be less than half as
# wide as the right one
T95 = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """Wilson's interval for a share (Wilson 1927): within 0 and 1, and never empty at 0 or all successes.

    Raises:
        ValueError: for no trials, or successes that are not among them.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials are no share")
    p, z2 = successes / trials, Z95**2
    middle = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2))
    return max(0.0, middle - half), min(1.0, middle + half)


class Interval(NamedTuple):
    """A value and between what it lies; both are the value where no interval is known."""

    value: float
    low: float
    high: float


def clear_best(values: Mapping[K, Interval], better: Callable[[Iterable[float]], float]) -> set[K]:
    """Who has the best value, if it is better than the others beyond their intervals; nobody where they overlap.

    Args:
        better: min or max. Values that are not finite are never the best.
    """
    finite = {who: one for who, one in values.items() if math.isfinite(one.value)}
    if len({one.value for one in finite.values()}) < 2:
        return set()
    top = better(one.value for one in finite.values())
    best = {who: one for who, one in finite.items() if one.value == top}
    others = [one for who, one in finite.items() if who not in best]
    apart = all(a.high < b.low or b.high < a.low for a in best.values() for b in others)
    return set(best) if apart else set()


def half_width(deviation: float, count: int) -> float:
    """Half of Student's interval for the mean of a few values, such as those of three seeds.

    Args:
        deviation: their standard deviation, with count - 1.

    Raises:
        ValueError: of fewer than two values, which have no deviation.
    """
    if count < 2:
        raise ValueError(f"{count} value has no interval; measure two at least")
    t = T95[count - 2] if count - 2 < len(T95) else Z95
    return t * deviation / math.sqrt(count)


def mean_and_half_width(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """`(mean, half)` of some values, half 0 of one alone."""
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"values of shape {x.shape} have no mean; give a list of at least one")
    return float(x.mean()), half_width(float(x.std(ddof=1)), x.size) if x.size > 1 else 0.0


# How far single texts lie from a number that is made of several: what an interval needs, and what adds up.
#
#     sd = sqrt((n - 1) sum_i (r_i - mean r)^2),    r_i the number made of all texts but the i-th
#
# Tukey's jackknife. Of a mean of n values this is their standard deviation; of what is no mean, such as the resolution
# of mean scores, sqrt(n) times its standard error, so that sd / sqrt(n) is always the error of the number.


def jackknife_deviation(of: Callable[[np.ndarray], float], count: int) -> float | None:
    """The sd of a number made of `count` texts; None of one text, which tells nothing of others.

    Args:
        of: the number made of the texts of these indices, i64[n].
    """
    if count < 2:
        return None
    without = np.asarray([of(np.delete(np.arange(count), i)) for i in range(count)], np.float64)
    return float(np.sqrt((count - 1) * np.sum((without - without.mean()) ** 2)))


def sample_deviation(values: np.ndarray) -> float | None:
    """The standard deviation of some values, with n - 1; None of one."""
    return float(np.std(np.asarray(values, np.float64), ddof=1)) if np.size(values) > 1 else None


def pool(
    first: tuple[float, int, float | None], second: tuple[float, int, float | None]
) -> tuple[float, int, float | None]:
    """Mean, count and standard deviation of two lots of values as one (Chan, Golub and LeVeque 1979)."""
    (mean, n, sd), (other, m, other_sd) = first, second
    total = n + m
    if not total:
        return mean, 0, None
    squares = [0.0 if k < 2 else None if s is None else (k - 1) * s**2 for k, s in ((n, sd), (m, other_sd))]
    known = None not in squares and total > 1
    between = (other - mean) ** 2 * n * m / total
    return (
        (mean * n + other * m) / total,
        total,
        float(np.sqrt((sum(s for s in squares if s is not None) + between) / (total - 1))) if known else None,
    )
