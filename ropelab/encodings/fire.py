"""FIRE: a small learned function of the distance, measured on a logarithmic scale and relative to the query's position.

    s_ij = q_i . k_j / sqrt(H) + f_h( psi(i - j) / psi(max(i, L)) ),   psi(x) = ln(|c| x + 1)
    f: 1 → hidden → heads, ReLU between;   L = |threshold * multiplier|

Source: Li et al., "Functional interpolation for relative position encodings", arXiv 2310.04418, section 3 and
appendix; positions count from 0. Learned: the two layers, c and the multiplier of L. Keys after the query, which the
causal pattern hides, are taken at distance 0.
"""

import jax
import jax.numpy as jnp
from jax import Array

from ropelab.encodings.base import Context, Encoding, Params, compute_distances
from ropelab.precision import einsum
from ropelab.spec import at_least, require, spec

__all__ = ["FIRE"]

_EPS = 1e-6  # the denominator's, as the authors have it


@spec
class FIRE(Encoding):
    """A learned bias of the relative distance (i - j) / max(i, L).

    Attributes:
        hidden: width of the learned function.
        c: start of the scale of psi.
        threshold: start of L, below which queries share one denominator.
    """

    hidden: int = 32
    c: float = 0.1
    threshold: float = 512.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "hidden")
        require(self.c > 0 and self.threshold > 0, self, f"c={self.c} and threshold={self.threshold} must be positive")

    @property
    def fractional_positions(self) -> bool:
        return True

    @property
    def relative(self) -> bool:
        return False

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        """Layers uniform within 1 / sqrt(inputs), c as given, multiplier 1."""
        del head_dim
        keys, width = jax.random.split(key, 4), self.hidden

        def uniform(key: Array, shape: tuple[int, ...], inputs: int) -> Array:
            return jax.random.uniform(key, shape, jnp.float32, -(inputs**-0.5), inputs**-0.5)

        return {
            "in": uniform(keys[0], (width,), 1),
            "in_bias": uniform(keys[1], (width,), 1),
            "out": uniform(keys[2], (width, num_heads), width),
            "out_bias": uniform(keys[3], (num_heads,), width),
            "c": jnp.asarray(self.c, jnp.float32),
            "multiplier": jnp.asarray(1.0, jnp.float32),
        }

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        (s_BNTS,) = views
        wide = {name: p.astype(s_BNTS.dtype) for name, p in params.items()}
        distance_BTS = jnp.maximum(compute_distances(q_pos_BT, k_pos_BS)[:, 0], 0).astype(s_BNTS.dtype)
        longest_BT1 = jnp.maximum(
            jnp.asarray(q_pos_BT)[..., None].astype(s_BNTS.dtype), jnp.abs(self.threshold * wide["multiplier"])
        )

        def psi(x: Array) -> Array:
            return jnp.log(jnp.abs(wide["c"] * x) + 1)

        relative_BTS = psi(distance_BTS) / (psi(longest_BT1) + _EPS)
        hidden_BTSX = jax.nn.relu(relative_BTS[..., None] * wide["in"] + wide["in_bias"])
        bias_BNTS = einsum("BTSX,XN->BNTS", hidden_BTSX, wide["out"][:, ctx.heads])
        return s_BNTS + bias_BNTS + wide["out_bias"][ctx.heads][:, None, None]
