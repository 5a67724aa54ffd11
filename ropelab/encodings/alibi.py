"""ALiBi: a penalty linear in the distance, steeper in some heads than in others.

    s_ij = q_i . k_j / sqrt(H) - m_h |i - j|,   m_h = 2^(-8 (h + 1) / N) for N a power of two

For other N: the slopes of the largest power of two below, then every other slope of twice that. Source: Press et
al., arXiv 2108.12409, and ofirpress/attention_with_linear_biases 4b92f28. The symmetric form is used; the
released code's m_h * j differs from it by a constant of each row only, and only under a causal pattern.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context, Encoding, Params
from ropelab.spec import require, spec

__all__ = ["ALiBi", "alibi_slopes"]


def alibi_slopes(num_heads: int, *, max_bias: float = 8.0) -> np.ndarray:
    """m_h of every head of the model, float64[num_heads]."""

    def geometric(count: int) -> np.ndarray:
        return 2.0 ** (-max_bias * np.arange(1, count + 1) / count)

    whole = 2 ** int(np.log2(num_heads))
    return np.concatenate([geometric(whole), geometric(2 * whole)[0::2][: num_heads - whole]])


@spec
class ALiBi(Encoding):
    """A bias of -m_h |i - j| on the scaled scores; `max_bias` is the exponent of the last head's slope."""

    max_bias: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.max_bias > 0, self, f"max_bias={self.max_bias} must be positive")

    @property
    def fractional_positions(self) -> bool:
        return True

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        del params
        (s_BNTS,) = views
        slopes_N = jnp.asarray(alibi_slopes(ctx.num_heads, max_bias=self.max_bias), s_BNTS.dtype)[ctx.heads]
        distance_BTS = jnp.abs(q_pos_BT[:, :, None] - k_pos_BS[:, None, :]).astype(s_BNTS.dtype)
        return s_BNTS - slopes_N[:, None, None] * distance_BTS[:, None]

    def linear_slopes(self, num_heads: int) -> np.ndarray | None:
        return alibi_slopes(num_heads, max_bias=self.max_bias)
