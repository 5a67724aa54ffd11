"""How far single texts lie from a number that is made of several: what an interval needs, and what adds up.

    sd = sqrt((n - 1) sum_i (r_i - mean r)^2),    r_i the number made of all texts but the i-th

Tukey's jackknife. Of a mean of n values this is their standard deviation; of what is no mean, such as the resolution
of mean scores, sqrt(n) times its standard error, so that sd / sqrt(n) is always the error of the number.
"""

from collections.abc import Callable

import numpy as np


def jackknife(of: Callable[[np.ndarray], float], count: int) -> float | None:
    """The sd of a number made of `count` texts; None of one text, which tells nothing of others.

    Args:
        of: the number made of the texts of these indices, i64[n].
    """
    if count < 2:
        return None
    without = np.asarray([of(np.delete(np.arange(count), i)) for i in range(count)], np.float64)
    return float(np.sqrt((count - 1) * np.sum((without - without.mean()) ** 2)))


def deviation(values: np.ndarray) -> float | None:
    """The standard deviation of some values, with n - 1; None of one."""
    return float(np.std(np.asarray(values, np.float64), ddof=1)) if np.size(values) > 1 else None


def together(
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
