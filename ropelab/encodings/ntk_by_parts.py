"""NTK by parts: YaRN without the temperature, with the ramp of the paper.

    r_i = L theta_i / 2 pi,  g_i = clip((r_i - alpha) / (beta - alpha), 0, 1)
    inv_freq_i = theta_i (1 - g_i) / factor + theta_i g_i

Source: bloc97, 2023; YaRN, arXiv 2309.00071, section 3.2, definition 2. The first released code of this name
(jquesnelle/yarn, `LlamaPartNTKScaledRotaryEmbedding`) mixes three tables over the index and is another encoding.
"""

import numpy as np
from jax import Array

from ropelab.encodings.rotary import Rotary
from ropelab.encodings.yarn import yarn_frequencies
from ropelab.spec import at_least, require, spec

__all__ = ["NTKByParts"]


@spec
class NTKByParts(Rotary):
    """Pairs with fewer than `alpha` turns within the trained length interpolated, with more than `beta` kept."""

    factor: float
    original_length: int
    alpha: float = 1.0
    beta: float = 32.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "factor", "original_length")
        require(self.beta > self.alpha > 0, self, f"beta={self.beta} must exceed alpha={self.alpha} > 0")

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        del length
        inv_freq = yarn_frequencies(
            self.rotated_dims(head_dim),
            base=self.require_base(),
            factor=self.factor,
            original_length=self.original_length,
            beta_fast=self.beta,
            beta_slow=self.alpha,
            ramp="wavelength",
        )
        return inv_freq, 1.0


EXAMPLES = (NTKByParts(base=1e2, factor=4, original_length=64, beta=8),)
