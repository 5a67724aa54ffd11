"""PoPE, polar position embedding: magnitudes say what, phases say where, in each dimension on its own.

    q'_c = softplus(q_c) e^(i p w_c),  k'_c = softplus(k_c) e^(i (p w_c + delta_c)),  w_c = base^(-c/d), c = 0 .. d - 1
    s_ij = Re sum_c q'_c conj(k'_c) / sqrt(H)

with learned phases delta in [-2 pi, 0]. Heads become twice as wide. Source: Gopalakrishnan et al., arXiv 2509.10534;
x-transformers 2.31.10, `PolarEmbedding`, which has a delta for each head where one serves all here, and whose
attention then divides by sqrt(2H).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context, Encoding, Params
from ropelab.encodings.rotary import Rotary, compute_angles
from ropelab.spec import require, spec

__all__ = ["PoPE"]


@spec
class PoPE(Encoding):
    """Every dimension of a head an oscillator of its own; `base` is inherited from a rotary checkpoint."""

    base: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.base is None or self.base > 1, self, f"base={self.base} must be greater than 1")

    def inherit(self, other: Encoding) -> "PoPE":
        return PoPE(base=other.base) if self.base is None and isinstance(other, Rotary) else self

    def check(self, head_dim: int) -> None:
        del head_dim
        require(self.base is not None, self, "base is not known; give base=, or swap it into a loaded model")

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        """Phases 0, as in the paper's runs with zero start."""
        del key, num_heads
        return {"phase": jnp.zeros((head_dim,), jnp.float32)}

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        return (self.to_polar(q_BTNH, self.phases(q_BTNH.shape[-1], pos_BT)),)

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        delta_H = jnp.clip(params["phase"].astype(jnp.float32), -2 * np.pi, 0.0)
        return (self.to_polar(k_BSKH, self.phases(k_BSKH.shape[-1], pos_BS) + delta_H),)

    def phases(self, head_dim: int, pos_BT: Array) -> Array:
        assert self.base is not None
        return compute_angles(jnp.asarray(pos_BT), self.base ** (-np.arange(head_dim) / head_dim))

    def to_polar(self, x_BTNH: Array, angle_BTH: Array) -> Array:
        wide = x_BTNH.astype(jnp.promote_types(x_BTNH.dtype, jnp.float32))
        magnitude, angle = jax.nn.softplus(wide), angle_BTH[:, :, None, :]
        return jnp.concatenate([magnitude * jnp.cos(angle), magnitude * jnp.sin(angle)], axis=-1).astype(x_BTNH.dtype)


EXAMPLES = (PoPE(base=1e4),)
