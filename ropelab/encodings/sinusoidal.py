"""Sinusoidal positions, added to the embedded tokens before the first layer.

    "interleaved":   x_2i += sin(p w_i), x_(2i+1) += cos(p w_i),  w_i = 10000^(-i/(D/2))
    "concatenated":  x_i += sin(p w_i), x_(i+D/2) += cos(p w_i),  w_i = 10000^(-i/(D/2))
    "tensor2tensor": as "concatenated" with                        w_i = 10000^(-i/(D/2 - 1))

Source: Vaswani et al., arXiv 1706.03762, section 3.5 ("interleaved"); Marian and DeepMind ("concatenated");
tensor2tensor, fairseq and MaxText ("tensor2tensor"). They are three different tables.

How large the sines are beside the tokens is part of the method: Vaswani et al. multiply embeddings by sqrt(D), to
entries of deviation 1. Where they begin at 0.02, as GPT-2's and Llama's do, `amplitude=0.02` starts from that
proportion. It matters: a byte model trained on 64 bytes has a perplexity of 12.8 with amplitude 1 and of 10.6 with
0.02, and at 256 bytes of 26.9 and 13.2 (docs/training.md).
"""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Encoding, Params
from ropelab.encodings.rotary import compute_angles
from ropelab.spec import require, spec

__all__ = ["Sinusoidal", "sinusoidal_frequencies"]

_Layout = Literal["interleaved", "concatenated", "tensor2tensor"]


def sinusoidal_frequencies(width: int, *, layout: _Layout, base: float = 10000.0) -> np.ndarray:
    """w_i, float64[width / 2]."""
    half = width // 2
    return base ** (-np.arange(half) / max(half - (layout == "tensor2tensor"), 1))


@spec
class Sinusoidal(Encoding):
    """Sines and cosines of the position, times an amplitude, added to the input."""

    layout: _Layout
    base: float = 10000.0
    amplitude: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.base > 1, self, f"base={self.base} must be greater than 1")
        require(self.amplitude > 0, self, f"amplitude={self.amplitude} must be positive")

    @property
    def fractional_positions(self) -> bool:
        return True

    @property
    def relative(self) -> bool:
        return False

    def embed(self, params: Params, x_BTD: Array, pos_BT: Array) -> Array:
        del params
        width = x_BTD.shape[-1]
        require(width % 2 == 0, self, f"the model's width {width} must be even")
        angle_BTR = compute_angles(pos_BT, sinusoidal_frequencies(width, layout=self.layout, base=self.base))
        pair = (jnp.sin(angle_BTR), jnp.cos(angle_BTR))
        if self.layout == "interleaved":
            table_BTD = jnp.stack(pair, axis=-1).reshape(x_BTD.shape)
        else:
            table_BTD = jnp.concatenate(pair, axis=-1)
        return (x_BTD.astype(jnp.float32) + self.amplitude * table_BTD).astype(x_BTD.dtype)


EXAMPLES = (Sinusoidal(layout="interleaved"),)
