"""ReRoPE and Leaky ReRoPE: distances beyond a window are all the same, or grow k times slower.

    M(i, j) = i - j where i - j < window, else window                       (ReRoPE)
    M(i, j) = i - j where i - j < window, else window + (i - j - window)/k   (Leaky ReRoPE)
    s_ij = q_i R(M(i, j)) k_j / sqrt(H)

Source: Su Jianlin, kexue.fm/archives/9708 and bojone/rerope (2023), which also multiplies queries by
max(1, ln(i + 1) / ln L): say `LogN(inner=ReRoPE(window=...), original_length=L)` for it.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context, Params, compute_distances
from ropelab.encodings.rope import RoPE
from ropelab.encodings.rotary import compute_angles, rotate
from ropelab.spec import at_least, require, spec

__all__ = ["LeakyReRoPE", "ReRoPE"]


@spec
class ReRoPE(RoPE):
    """Rotation by the distance up to `window`, by `window` beyond."""

    window: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "window")

    def far_frequencies(self, inv_freq: np.ndarray) -> np.ndarray:
        """Frequencies of distances beyond the window."""
        return np.zeros_like(inv_freq)

    def far_angles(self, head_dim: int, pos_BT: Array, *, start: int) -> Array:
        """Angles of the second view: positions at slower frequencies, and `start` tokens at the difference."""
        inv_freq, _ = self.frequencies(head_dim, 1)
        slower = self.far_frequencies(inv_freq)
        ahead_R = start * (inv_freq - slower) % (2 * np.pi)
        return compute_angles(jnp.asarray(pos_BT), slower) + ahead_R.astype(np.float32)

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        del params
        far = self.far_angles(q_BTNH.shape[-1], pos_BT, start=self.window)
        return self.turn(q_BTNH, pos_BT, ctx), rotate(q_BTNH, far, 1.0, self.layout)

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        del params
        far = self.far_angles(k_BSKH.shape[-1], pos_BS, start=0)
        return self.turn(k_BSKH, pos_BS, ctx), rotate(k_BSKH, far, 1.0, self.layout)

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        del params, ctx
        near_BNTS, far_BNTS = views
        return jnp.where(compute_distances(q_pos_BT, k_pos_BS) < self.window, near_BNTS, far_BNTS)


@spec
class LeakyReRoPE(ReRoPE):
    """As ReRoPE, with distances beyond the window `k` times shorter instead of all alike."""

    k: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.k >= 1, self, f"k={self.k} must be at least 1")

    def far_frequencies(self, inv_freq: np.ndarray) -> np.ndarray:
        return inv_freq / self.k


EXAMPLES = (ReRoPE(base=1e4, window=7), LeakyReRoPE(base=1e4, window=7, k=4))
