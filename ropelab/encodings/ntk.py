"""NTK-aware scaling: a larger base, so that the slowest pair is interpolated and the fastest is not.

    base' = base * alpha^(d/(d-2)),  inv_freq_i = base'^(-2i/d)

The fastest frequency is unchanged and the slowest is divided by exactly alpha. Source: bloc97, 2023, and
YaRN, arXiv 2309.00071, definition 1. It is `alpha_value` in ExLlama; the exponent 64/63 that circulates
is d/(d-2) at d = 128 and wrong for any other head.
"""

import math
from typing import ClassVar

import numpy as np
from jax import Array

from ropelab.encodings.rotary import Rotary, plain_frequencies
from ropelab.spec import at_least, spec

__all__ = ["NTK", "ntk_frequencies"]


def ntk_base(rotary_dim: int, *, base: float, alpha: float) -> float:
    """The enlarged base.

    Raises:
        ValueError: if no float can hold it.
    """
    try:
        enlarged = base * alpha ** (rotary_dim / (rotary_dim - 2))
    except OverflowError:
        enlarged = math.inf
    if not math.isfinite(enlarged):
        raise ValueError(f"NTK: alpha={alpha!r} enlarges base={base!r} beyond every float; give a smaller alpha")
    return enlarged


def ntk_frequencies(head_dim: int, *, base: float, alpha: float) -> np.ndarray:
    """Radians per token, float64[head_dim / 2]."""
    return plain_frequencies(head_dim, base=ntk_base(head_dim, base=base, alpha=alpha))


@spec
class NTK(Rotary):
    """The slowest pair `alpha` times slower, the fastest as it was."""

    min_rotated_dims: ClassVar[int] = 4  # the exponent d/(d-2)

    alpha: float

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "alpha")

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        del length
        return ntk_frequencies(self.rotated_dims(head_dim), base=self.require_base(), alpha=self.alpha), 1.0


EXAMPLES = (NTK(base=1e4, alpha=2),)
