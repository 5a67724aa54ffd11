"""Intervals of 95 % for shares and means, and standard errors of numbers that are no means.

    jackknife deviation   sqrt((n - 1) sum_i (r_i - mean r)^2),    r_i the number made of all texts but the i-th

For a mean of n values Tukey's jackknife gives their standard deviation; for other numbers, such as the resolution of
mean scores, sqrt(n) times the standard error. So deviation / sqrt(n) is always the standard error.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.special import stdtrit

K = TypeVar("K")

Z95 = 1.959963984540054
SMALL = 31  # values up to which Student's t is used; beyond it the normal distribution is close enough


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """Return Wilson's interval for a share (Wilson 1927): within 0 and 1, and never empty at 0 or all successes.

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
    """A value and its bounds, which are the value itself where no interval is known."""

    value: float
    low: float
    high: float


def clear_best(values: Mapping[K, Interval], better: Callable[[Iterable[float]], float]) -> set[K]:
    """Return those with the best value if their intervals are apart from all others; none where intervals overlap.

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
    """Return half the width of Student's interval for the mean of a few values, such as those of three seeds.

    Args:
        deviation: their standard deviation, with count - 1.

    Raises:
        ValueError: of fewer than two values, which have no deviation.
    """
    if count < 2:
        raise ValueError(f"{count} value has no interval; measure two at least")
    t = float(stdtrit(count - 1, 0.975)) if count <= SMALL else Z95
    return t * deviation / math.sqrt(count)


def mean_and_half_width(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return `(mean, half-width)` of some values, the half-width of a single one being 0."""
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"values of shape {x.shape} have no mean; give a list of at least one")
    return float(x.mean()), half_width(float(x.std(ddof=1)), x.size) if x.size > 1 else 0.0


def jackknife_deviation(of: Callable[[np.ndarray], float], count: int) -> float | None:
    """Return the deviation of a number made of `count` texts; None for one text.

    Args:
        of: the number made of the texts of these indices, i64[n].
    """
    if count < 2:
        return None
    without = np.asarray([of(np.delete(np.arange(count), i)) for i in range(count)], np.float64)
    return float(np.sqrt((count - 1) * np.sum((without - without.mean()) ** 2)))


def sample_deviation(values: np.ndarray) -> float | None:
    """Return the standard deviation of some values, with n - 1; None for one value."""
    return float(np.std(np.asarray(values, np.float64), ddof=1)) if np.size(values) > 1 else None
