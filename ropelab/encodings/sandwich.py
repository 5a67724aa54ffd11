"""Sandwich: the inner product of two sinusoidal embeddings as a bias, without anything learned.

    s_ij = q_i . k_j / sqrt(H) + (sum_{t=1}^{dim/2} cos((i - j) / 10000^(2t/dim)) - dim/2) / (8 (h + 1) / N)

Source: Chi et al., "Dissecting transformer length extrapolation", arXiv 2212.10356, section 5; the frequencies begin
at t = 1, heads are counted from 1 in the divisor.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context, Encoding, Params, compute_distances
from ropelab.encodings.rotary import compute_angles
from ropelab.spec import require, spec

__all__ = ["Sandwich", "sandwich_frequencies"]


def sandwich_frequencies(dim: int) -> np.ndarray:
    """Radians per token, float64[dim / 2]."""
    return 10000.0 ** (-2 * np.arange(1, dim // 2 + 1) / dim)


@spec
class Sandwich(Encoding):
    """A bias that falls off like a logarithm of the distance, `dim` wide, ever flatter from head to head."""

    dim: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.dim >= 2 and self.dim % 2 == 0, self, f"dim={self.dim} must be even and positive")

    @property
    def fractional_positions(self) -> bool:
        return True

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        del params
        (s_BNTS,) = views
        B, _, T, S = s_BNTS.shape
        distance = compute_distances(q_pos_BT, k_pos_BS).reshape(B, T * S)
        shape_B1TS = jnp.sum(jnp.cos(compute_angles(distance, sandwich_frequencies(self.dim))), axis=-1).reshape(
            B, 1, T, S
        )
        divisor_N11 = 8.0 * (ctx.heads + 1)[:, None, None] / ctx.num_heads
        return s_BNTS + ((shape_B1TS - self.dim / 2) / divisor_N11).astype(s_BNTS.dtype)
