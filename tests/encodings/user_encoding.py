"""An encoding as a user would add it: a choice among two views, and a learned slope for each head.

    s_ij = q_i R(i - j) k_j / sqrt(H) - m_h |i - j| / window    where |i - j| < window
    s_ij = q_i R(window) k_j / sqrt(H) - m_h |i - j| / window   elsewhere

Near tokens are told apart by their distance, far ones all stand at distance `window` (ReRoPE, Su Jianlin, 2023), and
a table in the parameters says how steeply each head forgets.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings import Context, RoPE
from ropelab.encodings.base import Params
from ropelab.spec import at_least, spec


@spec
class LeakyReRoPE(RoPE):
    """Rotation up to `window`, the rotation of `window` beyond, and learned slopes."""

    window: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "window")

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        del head_dim
        return {"slopes": jax.random.uniform(key, (num_heads,))}

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        del params
        return self.turn(q_BTNH, pos_BT, ctx), self.turn(q_BTNH, self.seam(pos_BT), ctx)

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        del params
        return self.turn(k_BSKH, pos_BS, ctx), self.turn(k_BSKH, jnp.zeros_like(pos_BS), ctx)

    def seam(self, pos_BT: Array) -> Array:
        """Where the queries of the second view stand; its keys stand at 0."""
        return jnp.full_like(pos_BT, self.window)

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        near_BNTS, far_BNTS = views
        distance_B1TS = jnp.abs(q_pos_BT[:, None, :, None] - k_pos_BS[:, None, None, :])
        s_BNTS = jnp.where(distance_B1TS < self.window, near_BNTS, far_BNTS)
        slopes_N11 = params["slopes"][ctx.heads][:, None, None].astype(s_BNTS.dtype)
        return s_BNTS - slopes_N11 * distance_B1TS / self.window


def loop_scores(
    encoding: LeakyReRoPE, params: Params, q: np.ndarray, k: np.ndarray, q_pos: np.ndarray, k_pos: np.ndarray
) -> np.ndarray:
    """The formula above, one pair of tokens at a time, in complex numbers of 128 bits."""
    B, T, N, H = q.shape
    S, K = k.shape[1:3]
    turns = np.asarray(encoding.frequencies(H, 1)[0])
    q, k = (x[..., : H // 2].astype(complex) + 1j * x[..., H // 2 :] for x in (q, k))
    s = np.empty((B, N, T, S))
    for b, n, i, j in np.ndindex(s.shape):
        distance = int(q_pos[i]) - int(k_pos[j])
        seen_at = distance if abs(distance) < encoding.window else encoding.window
        product = np.sum(q[b, i, n] * np.conj(k[b, j, n // (N // K)]) * np.exp(1j * seen_at * turns)).real
        s[b, n, i, j] = product / np.sqrt(H) - float(params["slopes"][n]) * abs(distance) / encoding.window
    return s
