"""HoPE: only pairs that complete a turn within the trained length are turned; the slower ones carry content alone.

    inv_freq_i = base^(-2i/d) where 2 pi / base^(-2i/d) <= L, else 0,  L = original_length

Source: Chen et al., "HoPE: ... without long-term decay" (high-frequency rotary), arXiv 2410.21216. Not the hyperbolic
encoding of the same name (arXiv 2509.05218).
"""

import numpy as np
from jax import Array

from ropelab.encodings.rotary import Rotary, plain_frequencies
from ropelab.spec import at_least, spec

__all__ = ["HoPE", "hope_frequencies"]


def hope_frequencies(head_dim: int, *, base: float, original_length: int) -> np.ndarray:
    """Radians per token, float64[head_dim / 2]."""
    inv_freq = plain_frequencies(head_dim, base=base)
    return np.where(2 * np.pi <= original_length * inv_freq, inv_freq, 0.0)


@spec
class HoPE(Rotary):
    """Slow pairs, of wavelengths beyond `original_length`, without position."""

    original_length: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "original_length")

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        del length
        return (
            hope_frequencies(
                self.rotated_dims(head_dim), base=self.require_base(), original_length=self.original_length
            ),
            1.0,
        )


EXAMPLES = (HoPE(base=1e4, original_length=100),)
