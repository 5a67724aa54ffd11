"""KERPLE: conditionally positive definite kernels of the distance, with learned parameters for each head.

    "log":    s_ij = q_i . k_j / sqrt(H) - r1 ln(1 + r2 |i - j|)
    "power":  s_ij = q_i . k_j / sqrt(H) - r1 |i - j|^r2,   0 < r2 <= 2

Source: Chi et al., arXiv 2205.09921, equations 6 and 7; chijames/KERPLE, whose parameters are clamped to at least
0.01 when they are used. With r2 = 1 "power" is ALiBi with learned slopes.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from ropelab.encodings.base import Context, Encoding, Params, compute_distances, select_heads
from ropelab.spec import spec

__all__ = ["KERPLE"]

_LEAST = 0.01


@spec
class KERPLE(Encoding):
    """A learned logarithmic or power-law penalty of the distance."""

    kind: Literal["log", "power"]

    @property
    def fractional_positions(self) -> bool:
        return True

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        """As the authors draw them: "log" has r1 uniform in (0, 2) and r2 in (0, 1), "power" the other way round."""
        del head_dim
        one, two = jax.random.split(key)
        r1, r2 = (2.0, 1.0) if self.kind == "log" else (1.0, 2.0)
        return {
            "r1": jax.random.uniform(one, (num_heads,), jnp.float32, _LEAST, r1),
            "r2": jax.random.uniform(two, (num_heads,), jnp.float32, _LEAST, r2),
        }

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        (s_BNTS,) = views
        r1_N11, r2_N11 = (select_heads(jnp.maximum(params[r], _LEAST), ctx.heads, s_BNTS.dtype) for r in ("r1", "r2"))
        distance_B1TS = jnp.abs(compute_distances(q_pos_BT, k_pos_BS)).astype(s_BNTS.dtype)
        if self.kind == "log":
            return s_BNTS - r1_N11 * jnp.log1p(r2_N11 * distance_B1TS)
        here = distance_B1TS == 0  # 0^r2 is 0, but its gradient by r2 is 0 * ln 0
        far = jnp.where(here, 1.0, distance_B1TS)
        return s_BNTS - r1_N11 * jnp.where(here, 0.0, far ** jnp.minimum(r2_N11, 2.0))


EXAMPLES = (KERPLE(kind="log"), KERPLE(kind="power"))
