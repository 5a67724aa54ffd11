"""CoPE, contextual position encoding: distances are counted in gates that the query opens for keys, not in tokens.

    g_ij = sigmoid(q_i . k_j / sqrt(H)),  p_ij = min(sum_{t = j..i} g_it, max_position - 1)
    s_ij = q_i . k_j / sqrt(H) + (1 - w) q_i . e[floor p_ij] + w q_i . e[ceil p_ij],   w = p_ij - floor p_ij

The sum runs over the visible keys from j to i in the order of their positions. Source: Golovneva et al., arXiv
2405.18719, equations 3 to 5, with the divisors of the paper's listing and of x-transformers 2.31.10: gates see the
scaled scores, q . e is not divided. (facebookresearch/RAM divides q . e as well unless `--cope-nodiv` is given: that is
this with a table sqrt(H) times smaller.) A score depends on other keys of its query, so a kernel hands over whole rows.
Not clipped RoPE, which is `ClippedRoPE` here.
"""

import jax
import jax.numpy as jnp
from jax import Array

from ropelab.encodings.base import Context, Encoding, Params
from ropelab.precision import einsum
from ropelab.spec import at_least, spec

__all__ = ["CoPE"]


@spec
class CoPE(Encoding):
    """Learned vectors for `max_position` contextual positions, each position a sum of gates."""

    max_position: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, self, "max_position")

    @property
    def needs_full_rows(self) -> bool:
        return True

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        del num_heads
        return {"table": 0.02 * jax.random.normal(key, (self.max_position, head_dim), jnp.float32)}

    def combine_rows(
        self,
        params: Params,
        views: tuple[Array, ...],
        q_BNTH: Array,
        visible: Array,
        q_pos_BT: Array,
        k_pos_BS: Array,
        ctx: Context,
    ) -> Array:
        (s_BNTS,) = views
        gates_BNTS = jnp.where(visible, jax.nn.sigmoid(s_BNTS), 0.0)
        p_BNTS = jnp.minimum(_sum_following_gates(gates_BNTS, k_pos_BS), self.max_position - 1)
        low_BNTS = jnp.floor(p_BNTS)
        share_BNTS = p_BNTS - low_BNTS
        table_PH = params["table"].astype(s_BNTS.dtype)
        near_BNTP = einsum("BNTH,PH->BNTP", q_BNTH.astype(s_BNTS.dtype), table_PH)
        low, high = (jnp.take_along_axis(near_BNTP, p.astype(jnp.int32), axis=-1) for p in (low_BNTS, jnp.ceil(p_BNTS)))
        return s_BNTS + low * (1 - share_BNTS) + high * share_BNTS


def _sum_following_gates(gates_BNTS: Array, k_pos_BS: Array) -> Array:
    """For each key, the sum over itself and the keys of higher positions, in whatever order the keys are stored."""
    order_BS = jnp.argsort(k_pos_BS, axis=-1, descending=True)
    back_BS = jnp.argsort(order_BS, axis=-1)
    arranged = jnp.take_along_axis(gates_BNTS, order_BS[:, None, None, :], axis=-1)
    return jnp.take_along_axis(jnp.cumsum(arranged, axis=-1), back_BS[:, None, None, :], axis=-1)


EXAMPLES = (CoPE(max_position=9),)
