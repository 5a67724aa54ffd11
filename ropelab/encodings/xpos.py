"""xPos: a rotation whose pairs also decay with the distance, the slow ones slowest.

    q'_m = zeta^(m / scale_base) R(m) q_m,  k'_n = zeta^(-n / scale_base) R(n) k_n
    =>  s_mn = sum_i zeta_i^((m - n) / scale_base) (q R(m - n) k)_i,   zeta_i = (2i/d + gamma) / (1 + gamma)

Source: Sun et al., arXiv 2212.10554, equations 10 to 12; torchscale 0.3.0, `XPOS`. Written as it stands the factors
overflow: 0.286^(-131072/512) is 10^139, and centring on the middle of the text only halves the exponent. So
exponents are counted from the query's own frame of `scale_base` positions: factors on queries stay within
zeta^(+-1/2), those on keys before them shrink to an exact zero where the decay has gone that far. Keys after the
query, which a causal pattern hides, grow; their exponent stops at 48, and everything stays finite.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context, Params
from ropelab.encodings.rotary import Rotary, join_pairs, plain_frequencies
from ropelab.spec import at_least, require, spec

__all__ = ["XPos", "xpos_decay"]

_FARTHEST_AHEAD = 48.0  # zeta_0^-48 is 10^26: finite in float32 and bfloat16, with room for the product


def xpos_decay(head_dim: int, *, gamma: float) -> np.ndarray:
    """zeta_i, float64[head_dim / 2]."""
    return (np.arange(0, head_dim, 2) / head_dim + gamma) / (1 + gamma)


@spec
class XPos(Rotary):
    """Rotation with decay.

    Attributes:
        gamma: sets how fast the fastest pair decays.
        scale_base: tokens over which pair i decays by the factor zeta_i.
    """

    gamma: float = 0.4
    scale_base: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.gamma > 0, self, f"gamma={self.gamma} must be positive")
        at_least(1, self, "scale_base")

    @property
    def per_query_keys(self) -> bool:
        return True

    def query_group(self, q_pos_BT: Array) -> Array:
        return jnp.asarray(q_pos_BT) // self.scale_base

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        del length
        return plain_frequencies(self.rotated_dims(head_dim), base=self.require_base()), 1.0

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        del params
        return (self.apply_decay(q_BTNH, pos_BT, 1.0, ctx),)

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        del params
        return (self.apply_decay(k_BSKH, pos_BS, -1.0, ctx),)

    def apply_decay(self, x_BTNH: Array, pos_BT: Array, sign: float, ctx: Context) -> Array:
        """R(p) x times zeta^(sign (p - centre) / scale_base), the centre being the middle of the frame."""
        wide = x_BTNH.astype(jnp.promote_types(x_BTNH.dtype, jnp.float32))
        turned = self.turn(wide, pos_BT, ctx)
        assert ctx.group is not None
        origin = ctx.group * self.scale_base
        steps_BT = (jnp.asarray(pos_BT) - origin).astype(jnp.float32) / self.scale_base - 0.5
        exponent_BT = jnp.maximum(sign * steps_BT, -_FARTHEST_AHEAD)
        log_zeta_R = np.log(xpos_decay(self.rotated_dims(x_BTNH.shape[-1]), gamma=self.gamma)).astype(np.float32)
        factor_BTR = jnp.exp(exponent_BT[..., None] * log_zeta_R)
        both_BTH = join_pairs((factor_BTR, factor_BTR), self.layout)
        rest = x_BTNH.shape[-1] - both_BTH.shape[-1]
        both_BTH = jnp.pad(both_BTH, ((0, 0), (0, 0), (0, rest)), constant_values=1.0)
        # float16 ends at 65504, which the factors of keys ahead of the query exceed
        dtype = jnp.float32 if x_BTNH.dtype == jnp.float16 else x_BTNH.dtype
        return (turned * both_BTH[:, :, None, :]).astype(dtype)


EXAMPLES = (XPos(base=1e4, scale_base=16),)
