"""Dynamic NTK: the NTK base grows with the context, and nothing changes up to the trained length.

    alpha = factor * l / L - (factor - 1),  l = max(length, L),  L = original_length
    base' = base * alpha^(d/(d-2))

Source: emozilla, 2023; YaRN, arXiv 2309.00071, section 3.3; transformers 5.23, `dynamic`, where L is
`max_position_embeddings`. Engines that precompute a table (vLLM, EasyDeL) use the constant alpha at l = factor * L
for every length: that is another encoding, NTK(alpha=factor^2 - factor + 1).
"""

from typing import ClassVar

import numpy as np
from jax import Array

from ropelab.encodings.length_dependent import LengthDependent, scale_factor
from ropelab.encodings.ntk import ntk_frequencies
from ropelab.encodings.rotary import Frequencies, float64, plain_frequencies
from ropelab.spec import at_least, spec

__all__ = ["DynamicNTK", "dynamic_ntk_frequencies"]


def dynamic_ntk_frequencies(
    head_dim: int, *, base: float, factor: float, original_length: int, length: int | Array
) -> Frequencies:
    """Radians per token, float64[head_dim / 2]."""
    with float64():
        alpha = factor * scale_factor(length, original_length) - (factor - 1)
        if isinstance(alpha, float):
            return ntk_frequencies(head_dim, base=base, alpha=alpha)
        return plain_frequencies(head_dim, base=base) * alpha ** (-np.arange(0, head_dim, 2) / (head_dim - 2))


@spec
class DynamicNTK(LengthDependent):
    """RoPE up to `original_length` tokens, NTK with a growing alpha beyond."""

    min_rotated_dims: ClassVar[int] = 4  # the exponent d/(d-2)

    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "factor")

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[Frequencies, float]:
        inv_freq = dynamic_ntk_frequencies(
            self.rotated_dims(head_dim),
            base=self.require_base(),
            factor=self.factor,
            original_length=self.original_length,
            length=length,
        )
        return inv_freq, 1.0


EXAMPLES = (
    DynamicNTK(base=1e4, factor=2, original_length=24),
    DynamicNTK(base=1e4, factor=2, original_length=24, per="query", step=5),
)
