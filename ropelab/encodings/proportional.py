"""Proportional RoPE: a fraction of the pairs turns, with the frequencies they would have among all.

    inv_freq_i = base^(-2i/d) for i < floor(fraction d / 2), else 0

Source: Barbero et al., "Round and round we go", arXiv 2410.06205 (p-RoPE); transformers 5.23, `proportional`. With
`rotary_dim` in place of it the exponent would be -2i/rotary_dim: another spectrum.
"""

import numpy as np
from jax import Array

from ropelab.encodings.rotary import Rotary, plain_frequencies
from ropelab.spec import require, spec

__all__ = ["ProportionalRoPE", "proportional_frequencies"]


def proportional_frequencies(head_dim: int, *, base: float, fraction: float) -> np.ndarray:
    """Radians per token, float64[head_dim / 2]."""
    inv_freq = plain_frequencies(head_dim, base=base)
    inv_freq[int(fraction * head_dim // 2) :] = 0.0
    return inv_freq


@spec
class ProportionalRoPE(Rotary):
    """The fastest `fraction` of the pairs turned, the slow ones left without position."""

    fraction: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.fraction <= 1, self, f"fraction={self.fraction} must lie in (0, 1]")

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        del length
        return (
            proportional_frequencies(self.rotated_dims(head_dim), base=self.require_base(), fraction=self.fraction),
            1.0,
        )


EXAMPLES = (ProportionalRoPE(base=1e4, fraction=0.5),)
