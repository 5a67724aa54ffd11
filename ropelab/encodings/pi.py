"""Position interpolation: positions are divided by the factor by which the context grows.

    inv_freq_i = base^(-2i/d) / factor

Source: Chen et al., arXiv 2306.15595, equation 4, and kaiokendev's SuperHOT. It is `linear` in Hugging
Face configurations, `compress_pos_emb` in ExLlama and 1 / `--rope-freq-scale` in llama.cpp.
"""

import numpy as np
from jax import Array

from ropelab.encodings.rotary import Rotary, plain_frequencies
from ropelab.spec import at_least, spec

__all__ = ["PI", "pi_frequencies"]


def pi_frequencies(head_dim: int, *, base: float, factor: float) -> np.ndarray:
    """Radians per token, float64[head_dim / 2]."""
    return plain_frequencies(head_dim, base=base) / factor


@spec
class PI(Rotary):
    """Every frequency divided by `factor`, the new length over the trained one."""

    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "factor")

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        del length
        return pi_frequencies(self.rotated_dims(head_dim), base=self.require_base(), factor=self.factor), 1.0


EXAMPLES = (PI(base=1e4, factor=2),)
