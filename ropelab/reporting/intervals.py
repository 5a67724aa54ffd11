"""How sure a number is: intervals for shares, for means, and for whatever else is made of several texts.

An interval is `(low, high)`, of 95 % unless it says otherwise.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

Z95 = 1.959963984540054
# Student's t at 97.5 % for 1 to 30 degrees of freedom: with three seeds a normal interval would be less than half as
# wide as the right one
T95 = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)


def share(successes: float, trials: int) -> tuple[float, float]:
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


def mean(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Student's interval for the mean of a few values, such as those of three seeds; of one value, everything."""
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"values of shape {x.shape} have no mean; give a list of at least one")
    if x.size == 1:
        return -math.inf, math.inf
    t = T95[x.size - 2] if x.size - 2 < len(T95) else Z95
    half = t * float(x.std(ddof=1)) / math.sqrt(x.size)
    return float(x.mean()) - half, float(x.mean()) + half


def bootstrap(
    of: Callable[[np.ndarray], float], count: int, *, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The percentile interval of a number that is made of `count` texts, which are drawn again with replacement.

    Args:
        of: the number made of the texts of these indices, i64[count].

    Raises:
        ValueError: for fewer than two texts, of which nothing can be drawn anew.
    """
    if count < 2:
        raise ValueError(f"{count} text has no interval; measure two at least")
    rng = np.random.default_rng(seed)
    values = [of(rng.integers(0, count, count)) for _ in range(draws)]
    low, high = np.quantile(np.asarray(values, np.float64), (0.025, 0.975))
    return float(low), float(high)
