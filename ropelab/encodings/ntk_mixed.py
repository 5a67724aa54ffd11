"""NTK mixed and NTK fixed: each pair slowed a little more than the one before it, the slowest by exactly the factor.

    inv_freq_i = base^(-2i/d) * exp(-a (i + 1)^b),  a = ln(factor) / (d/2)^b

NTK leaves the fastest pair alone and spreads the factor over the d/2 - 1 others; here all d/2 digits of a position are
given room. With b = 1, "fixed", pair i is factor^(2(i+1)/d) times slower; with b < 1, "mixed", the fast pairs give
more. Source: Su Jianlin, kexue.fm/archives/9706 (2023), b = 0.625. It is vLLM's rope type `ntk`, whose `mixed_b` means
b, and 1 if it is left out.
"""

import math

import numpy as np
from jax import Array

from ropelab.encodings.rotary import Rotary, plain_frequencies
from ropelab.spec import at_least, require, spec

__all__ = ["NTKMixed", "ntk_mixed_frequencies"]


def ntk_mixed_frequencies(head_dim: int, *, base: float, factor: float, b: float) -> np.ndarray:
    """Radians per token, float64[head_dim / 2]."""
    part = np.arange(1, head_dim // 2 + 1) / (head_dim // 2)
    return plain_frequencies(head_dim, base=base) * np.exp(-math.log(factor) * part**b)


@spec
class NTKMixed(Rotary):
    """Every pair slower, the slowest `factor` times; `b` says how soon, 1 evenly."""

    factor: float
    b: float = 0.625

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "factor")
        require(self.b > 0, self, f"b={self.b} must be positive")

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        del length
        return ntk_mixed_frequencies(
            self.rotated_dims(head_dim), base=self.require_base(), factor=self.factor, b=self.b
        ), 1.0


EXAMPLES = (NTKMixed(base=1e4, factor=2),)
