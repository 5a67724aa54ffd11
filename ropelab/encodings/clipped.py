"""Clipped RoPE: the slowest frequencies fade to zero along half a cosine.

    inv_freq_i = base^(-2i/d) * (1 + cos(pi t / (n - 1))) / 2   for the t-th of the last n pairs, t = 0 .. n - 1

The last pair does not turn at all. Source: "CoPE: Clipped RoPE", arXiv 2602.05258 (2026), soft clipping; not the
contextual encoding of the same short name.
"""

import numpy as np
from jax import Array

from ropelab.encodings.rotary import Rotary, plain_frequencies
from ropelab.spec import at_least, require, spec

__all__ = ["ClippedRoPE", "clipped_frequencies"]


def clipped_frequencies(head_dim: int, *, base: float, clipped: int) -> np.ndarray:
    """Radians per token, float64[head_dim / 2]."""
    inv_freq = plain_frequencies(head_dim, base=base)
    inv_freq[-clipped:] *= (1 + np.cos(np.linspace(0, np.pi, clipped))) / 2
    return inv_freq


@spec
class ClippedRoPE(Rotary):
    """The last `clipped` pairs slowed down, the very last one to a standstill."""

    clipped: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, self, "clipped")

    def check(self, head_dim: int) -> None:
        super().check(head_dim)
        pairs = self.rotated_dims(head_dim) // 2
        require(self.clipped <= pairs, self, f"clipped={self.clipped} exceeds the {pairs} pairs of head_dim={head_dim}")

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        del length
        return clipped_frequencies(self.rotated_dims(head_dim), base=self.require_base(), clipped=self.clipped), 1.0


EXAMPLES = (ClippedRoPE(base=1e2, clipped=6),)
