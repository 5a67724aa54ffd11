"""Dynamic NTK: the NTK base grows with the context, and nothing changes up to the trained length.

    alpha = factor * l / L - (factor - 1),  l = max(length, L),  L = original_length
    base' = base * alpha^(d/(d-2))

Source: emozilla, 2023; YaRN, arXiv 2309.00071, section 3.3; transformers 5.23, `dynamic`, where L is
`max_position_embeddings`. All queries of one call share the frequencies of its length, as in a full forward
of transformers. Engines that precompute a table (vLLM, EasyDeL) use the constant alpha at l = factor * L
for every length: that is another encoding, NTK(alpha=factor^2 - factor + 1).
"""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.ntk import ntk_frequencies
from ropelab.encodings.rotary import Frequencies, Rotary, plain_frequencies
from ropelab.encodings.specs import at_least, spec


def dynamic_ntk_frequencies(
    head_dim: int, *, base: float, factor: float, original_length: int, length: int | Array
) -> Frequencies:
    """Radians per token [head_dim / 2]: float64 for a known length, float32 for a traced one."""
    if isinstance(length, int | np.integer):
        longer = max(int(length), original_length) / original_length
        return ntk_frequencies(head_dim, base=base, alpha=factor * longer - (factor - 1))
    longer = jnp.maximum(length, original_length).astype(jnp.float32) / original_length
    exponent = -np.arange(0, head_dim, 2) / (head_dim - 2)
    slower_R = (factor * longer - (factor - 1)) ** exponent.astype(np.float32)
    return plain_frequencies(head_dim, base=base).astype(np.float32) * slower_R


@spec
class DynamicNTK(Rotary):
    """RoPE up to `original_length` tokens, NTK with a growing alpha beyond."""

    fewest_turned: ClassVar[int] = 4  # the exponent d/(d-2)

    factor: float
    original_length: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "factor", "original_length")

    @property
    def depends_on_length(self) -> bool:
        return True

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[Frequencies, float]:
        inv_freq = dynamic_ntk_frequencies(
            self.turned(head_dim),
            base=self.known_base(),
            factor=self.factor,
            original_length=self.original_length,
            length=length,
        )
        return inv_freq, 1.0
