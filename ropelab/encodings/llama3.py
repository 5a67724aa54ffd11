"""Llama 3.1's scaling: the paper's YaRN ramp over wavelengths, without the temperature.

    r_i = L theta_i / 2 pi,  g_i = clip((r_i - low) / (high - low), 0, 1)
    inv_freq_i = theta_i (1 - g_i) / factor + theta_i g_i

Source: meta-llama/llama-models, `apply_scaling`; transformers 5.23, `llama3`. Llama 3.1 has factor 8,
Llama 3.2 has 32; engines that fix 8 are wrong for the latter.
"""

import numpy as np
from jax import Array

from ropelab.encodings.rotary import Rotary
from ropelab.encodings.yarn import yarn_frequencies
from ropelab.spec import at_least, require, spec

__all__ = ["Llama3RoPE"]


@spec
class Llama3RoPE(Rotary):
    """Pairs with fewer than `low_freq_factor` turns interpolated, with more than `high_freq_factor` kept."""

    factor: float
    original_length: int
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "factor", "original_length")
        require(
            self.high_freq_factor > self.low_freq_factor > 0,
            self,
            f"high_freq_factor={self.high_freq_factor} must exceed low_freq_factor={self.low_freq_factor} > 0",
        )

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        del length
        inv_freq = yarn_frequencies(
            self.rotated_dims(head_dim),
            base=self.require_base(),
            factor=self.factor,
            original_length=self.original_length,
            beta_fast=self.high_freq_factor,
            beta_slow=self.low_freq_factor,
            ramp="wavelength",
        )
        return inv_freq, 1.0


EXAMPLES = (Llama3RoPE(base=1e2, factor=8, original_length=64),)
