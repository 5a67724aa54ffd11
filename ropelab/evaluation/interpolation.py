"""Why interpolating positions is safe and extrapolating is not: PI's figure 2 and its theorem 2.1, in numbers.

An attention score as a function of distance is a(s) = Re sum_j h_j e^(i s theta_j), theta_j = c^(-2j/d). Coefficients h
that keep a(s) small at all distances s = 0 .. L - 1 let it explode beyond L. Between two whole distances it is tame:

    | a(s) - line(s) |  <=  d max_j |h_j| (s - s_1)(s_2 - s) / (8 ln c),    line through a(s_1) and a(s_2)

Source: Chen et al., arXiv 2306.15595, theorem 2.1 and figure 2, whose h is the least-squares fit to standard normal
values at every whole distance. That it explodes is sure, how far is a matter of rounding: the normal equations of
d = 128 and L = 2048 are singular, so that four seeds give 18 to 82 in numpy's float32, 330 to 840 in torch's, above
8000 in the paper and 1e6 in float64; a ridge of 1 on their diagonal leaves 1 to 4.
"""

import math
from typing import NamedTuple

import numpy as np

HEAD_DIM, LENGTH, BASE = 128, 2048, 10000.0
FINE = 8  # points between two whole distances


class Fit(NamedTuple):
    """One drawn target, fitted.

    Attributes:
        h: complex128[d / 2], the coefficients.
        inside: f64[L], a at the distances that were fitted.
        beyond: f64[L], a at L .. 2 L - 1.
        between: f64[FINE (L - 1) + 1], a at every eighth of a distance up to L - 1.
        off_line: the largest distance of `between` from the lines through whole distances.
        bound: theorem 2.1's largest over an interval of one.
    """

    h: np.ndarray
    inside: np.ndarray
    beyond: np.ndarray
    between: np.ndarray
    off_line: float
    bound: float

    @property
    def explosion(self) -> float:
        """max |a| beyond L over max |a| inside."""
        return float(np.abs(self.beyond).max() / np.abs(self.inside).max())


def basis(distances: np.ndarray, head_dim: int, base: float) -> np.ndarray:
    """[n, d]: cos and -sin of s theta_j, so that basis @ (Re h, Im h) = a(s)."""
    theta = base ** (-np.arange(0, head_dim, 2) / head_dim)
    angles = np.outer(np.asarray(distances, np.float64), theta)
    return np.concatenate([np.cos(angles), -np.sin(angles)], axis=1)


def fit(
    seed: int,
    *,
    head_dim: int = HEAD_DIM,
    length: int = LENGTH,
    base: float = BASE,
    ridge: float = 0.0,
    dtype: str = "float64",
) -> Fit:
    """Fit a to normal values at distances 0 .. L - 1 and look beyond and between.

    Args:
        ridge: added to the diagonal of the normal equations.
        dtype: in which these are formed and solved; what is then read off is float64.

    Raises:
        ValueError: for an odd head_dim, a length below 2, a base not above 1, and a negative ridge.
    """
    if head_dim < 2 or head_dim % 2 or length < 2 or base <= 1 or ridge < 0:
        raise ValueError(
            f"head_dim={head_dim} must be even, length={length} 2 at least, base={base} above 1 and ridge={ridge} not "
            "negative"
        )
    targets = np.random.default_rng(seed).standard_normal(length).astype(dtype)
    X = basis(np.arange(length), head_dim, base).astype(dtype)
    normal = X.T @ X + np.asarray(ridge, dtype) * np.eye(head_dim, dtype=dtype)
    coefficients = np.linalg.solve(normal, X.T @ targets).astype(np.float64)

    def a(distances: np.ndarray) -> np.ndarray:
        return basis(distances, head_dim, base) @ coefficients

    between = a(np.arange(FINE * (length - 1) + 1) / FINE)
    whole = between[::FINE]
    lines = np.interp(np.arange(between.size) / FINE, np.arange(length), whole)
    h = coefficients[: head_dim // 2] + 1j * coefficients[head_dim // 2 :]
    bound = head_dim * float(np.abs(h).max()) / 4 / (8 * math.log(base))
    off_line = float(np.abs(between - lines).max())
    return Fit(h, whole, a(np.arange(length, 2 * length)), between, off_line, bound)
