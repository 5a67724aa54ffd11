"""The two patterns that hide no token of the past: `Causal`, j <= i, and `Bidirectional`, all j.

Source: Vaswani et al., arXiv 1706.03762, section 3.2.3 (decoder and encoder self-attention).
"""

import jax.numpy as jnp
from jax import Array

from ropelab.attention.formula import Pattern
from ropelab.spec import spec


@spec
class Causal(Pattern):
    """j <= i."""

    @property
    def fractional_positions(self) -> bool:
        return True

    def counts(self, q_pos: Array, k_pos: Array, head: Array, num_heads: int) -> Array:
        del head, num_heads
        return k_pos <= q_pos

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        return k_low <= q_high, k_high <= q_low


@spec
class Bidirectional(Pattern):
    """Every query sees every key, as in an encoder: a model under it does not predict, it looks ahead."""

    @property
    def fractional_positions(self) -> bool:
        return True

    @property
    def causal(self) -> bool:
        return False

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        everywhere = jnp.ones(jnp.broadcast_shapes(q_low.shape, k_low.shape), bool)
        return everywhere, everywhere


EXAMPLES = (Causal(), Bidirectional())
