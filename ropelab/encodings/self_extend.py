"""Self-Extend: distances beyond a window are counted in groups of tokens.

    M(i, j) = i - j where i - j < window, else floor(i/g) - floor(j/g) + window - window/g
    s_ij = q_i R(M(i, j)) k_j / sqrt(H)

Source: Jin et al., arXiv 2401.01325, section 3; datamllab/LongLM. The seam window - window/g is a fraction where g does
not divide the window, as in the authors' code.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context, Params, compute_distances
from ropelab.encodings.rope import RoPE
from ropelab.encodings.rotary import compute_angles, rotate
from ropelab.spec import at_least, spec

__all__ = ["SelfExtend"]


@spec
class SelfExtend(RoPE):
    """Neighbours within `window` at their distance, others at the distance of their groups of `group` tokens."""

    group: int
    window: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "group", "window")

    @property
    def fractional_positions(self) -> bool:
        return False

    @property
    def relative(self) -> bool:
        return self.group == 1

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        del params
        inv_freq, _ = self.frequencies(q_BTNH.shape[-1], 1)
        seam_R = (self.window - self.window / self.group) * inv_freq % (2 * np.pi)
        grouped = compute_angles(jnp.asarray(pos_BT) // self.group, inv_freq) + seam_R.astype(np.float32)
        return self.turn(q_BTNH, pos_BT, ctx), rotate(q_BTNH, grouped, 1.0, self.layout)

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        del params
        return self.turn(k_BSKH, pos_BS, ctx), self.turn(k_BSKH, jnp.asarray(pos_BS) // self.group, ctx)

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        del params, ctx
        near_BNTS, far_BNTS = views
        return jnp.where(compute_distances(q_pos_BT, k_pos_BS) < self.window, near_BNTS, far_BNTS)


EXAMPLES = (SelfExtend(base=1e4, group=3, window=8),)
