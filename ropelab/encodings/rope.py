"""Rotary position embedding, unscaled.

    inv_freq_i = base^(-2i/d),  i = 0 .. d/2 - 1

Source: Su et al., "RoFormer", arXiv 2104.09864, section 3.2. The paper pairs neighbouring dimensions
("interleaved") and counts i from 1; Hugging Face weights are stored for "half" pairs.
"""

import numpy as np
from jax import Array

from ropelab.encodings.rotary import Rotary, plain_frequencies
from ropelab.spec import spec

__all__ = ["RoPE", "rope_frequencies"]


def rope_frequencies(head_dim: int, *, base: float) -> np.ndarray:
    """Radians per token, float64[head_dim / 2]."""
    return plain_frequencies(head_dim, base=base)


@spec
class RoPE(Rotary):
    """The unscaled rotary encoding; `base` alone is Code Llama's way of extending (1e6)."""

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        del length
        return rope_frequencies(self.rotated_dims(head_dim), base=self.require_base()), 1.0


EXAMPLES = (RoPE(base=1e4),)
