"""The rotary family: position p turns the i-th pair of a head by the angle p * inv_freq_i.

    q'_p = a R(p inv_freq) q_p,  k'_p = a R(p inv_freq) k_p   =>   q'_m . k'_n depends on m - n only

(RoFormer, arXiv 2104.09864, section 3.2.2.) Its members differ in `frequencies` alone.
"""

import dataclasses
from contextlib import AbstractContextManager
from typing import ClassVar, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ropelab.encodings.base import Context, Encoding, Params
from ropelab.spec import require, spec


def float64() -> AbstractContextManager[object]:
    """Return a context in which jax computes in 64 bits; cast arrays that leave it to 32.

    A frequency rounded to float32 shifts the angle by up to 0.004 rad at position 131072. Frequencies known at compile
    time come from numpy; those of a traced length are computed in this context, which every backend supports (TPUs
    emulate float64), whatever the precision of the surrounding program.
    """
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax import experimental

    return getattr(experimental, "enable_x64")()  # noqa: B009  its name up to jax 0.8


Frequencies = np.ndarray | Array
Pairing = Literal["half", "interleaved"]


@spec
class Rotary(Encoding):
    """Base of the rotary encodings; missing fields are inherited from the checkpoint.

    Attributes:
        base: the b of inv_freq_i = b^(-2i/d). There is no default: it belongs to the weights.
        pairing: "half" turns (i, i + d/2), the layout of Hugging Face weights and the one used
            when nothing else is said; "interleaved" turns (2i, 2i + 1), the papers' layout.
        rotary_dim: how many dimensions of a head are turned, the first ones; all by default.
    """

    min_rotated_dims: ClassVar[int] = 2

    base: float | None = None
    pairing: Pairing | None = None
    rotary_dim: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.base is None or self.base > 1, self, f"base={self.base} must be greater than 1")
        dim = self.rotary_dim
        require(dim is None or (dim > 0 and dim % 2 == 0), self, f"rotary_dim={dim} must be even and positive")

    @property
    def fractional_positions(self) -> bool:
        return not self.per_query_keys

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[Frequencies, float | Array]:
        """Return `(inv_freq, amplitude)`: radians per token of each pair, and the factor on q' and on k'.

        Args:
            head_dim: dimensions of one head.
            length: tokens in context; only length-dependent encodings look at it.
        """
        raise NotImplementedError

    def inherit(self, other: Encoding) -> Self:
        if not isinstance(other, Rotary):
            return self
        names = ("base", "pairing", "rotary_dim")
        return dataclasses.replace(self, **{n: getattr(other, n) for n in names if getattr(self, n) is None})

    def check(self, head_dim: int) -> None:
        self.rotated_dims(head_dim)
        self.require_base()

    def rotated_dims(self, head_dim: int) -> int:
        """Return the number of dimensions that are rotated."""
        require(head_dim % 2 == 0, self, f"head_dim={head_dim} must be even")
        dim = head_dim if self.rotary_dim is None else self.rotary_dim
        require(dim <= head_dim, self, f"rotary_dim={dim} exceeds head_dim={head_dim}")
        require(dim >= self.min_rotated_dims, self, f"{dim} rotated dimensions are fewer than {self.min_rotated_dims}")
        return dim

    def require_base(self) -> float:
        require(self.base is not None, self, "base is not known; give base=, or swap it into a loaded model")
        assert self.base is not None
        return self.base

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        del params
        return (self.turn(q_BTNH, pos_BT, ctx),)

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        del params
        return (self.turn(k_BSKH, pos_BS, ctx),)

    def turn(self, x_BTNH: Array, pos_BT: Array, ctx: Context) -> Array:
        angle_BTR, amplitude = self.angles(x_BTNH.shape[-1], pos_BT, ctx)
        return rotate(x_BTNH, angle_BTR, amplitude, self.layout)

    def angles(self, head_dim: int, pos_BT: Array, ctx: Context) -> tuple[Array, float | Array]:
        """Return `(angle_BTR, amplitude)`, both float32 where they are arrays."""
        with float64():
            inv_freq, amplitude = self.frequencies(head_dim, self.effective_length(ctx))
            amplitude = amplitude.astype(jnp.float32) if isinstance(amplitude, Array) else amplitude
        return compute_angles(pos_BT, inv_freq), amplitude

    def effective_length(self, ctx: Context) -> int | Array:
        """Return the length whose frequencies apply to the queries of a call."""
        return ctx.length

    @property
    def layout(self) -> Pairing:
        return self.pairing or "half"


def plain_frequencies(dim: int, *, base: float) -> np.ndarray:
    """Return inv_freq_i = base^(-2i/dim), i = 0 .. dim/2 - 1, in float64."""
    return base ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)


def compute_angles(pos_BT: Array, inv_freq: Frequencies) -> Array:
    """Compute pos * inv_freq modulo 2 pi in float32, f32[B, T, R], within 3e-5 rad at position 10^6.

    A plain float32 product is off by up to 0.06 rad there. So angles are counted in turns, with each frequency split
    by `split_turns`: 12-bit halves of the position times the leading bits are exact, whole turns are dropped exactly,
    and only the small rest rounds. A fractional position gets the angle of its whole part plus that of its fraction.
    """
    if not jnp.issubdtype(pos_BT.dtype, jnp.integer):
        whole_BT = jnp.floor(pos_BT)
        part_BTR = (pos_BT - whole_BT)[..., None].astype(jnp.float32) * jnp.asarray(inv_freq, jnp.float32)
        return compute_angles(whole_BT.astype(jnp.int32), inv_freq) + part_BTR
    leading_R, rest_R = split_turns(inv_freq)
    high_BT, low_BT = pos_BT >> 12 << 12, pos_BT & 0xFFF
    turns_BTR = sum(_wrap_turns(part[..., None].astype(jnp.float32) * leading_R) for part in (high_BT, low_BT))
    turns_BTR = turns_BTR + _wrap_turns(pos_BT[..., None].astype(jnp.float32) * rest_R)
    return (2 * np.pi) * _wrap_turns(turns_BTR)


def split_turns(inv_freq: Frequencies) -> tuple[Array, Array]:
    """Split turns per token into 12 leading bits and the rest, both float32."""
    if isinstance(inv_freq, np.ndarray):
        turns = inv_freq.astype(np.float64) / (2 * np.pi)
        leading = _round_to_12_bits(turns)
        return jnp.asarray(leading, jnp.float32), jnp.asarray(turns - leading, jnp.float32)
    with float64():
        turns = inv_freq.astype(jnp.float64) / (2 * np.pi)
        leading = lax.reduce_precision(turns, exponent_bits=11, mantissa_bits=11)
        return leading.astype(jnp.float32), (turns - leading).astype(jnp.float32)


def _round_to_12_bits(x: np.ndarray | float) -> np.ndarray:
    """Round float64 numbers to their 12 leading bits."""
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.round(np.ldexp(mantissa, 12)), exponent - 12)


def _wrap_turns(turns: Array) -> Array:
    """Drop whole turns; the result is in [-1/2, 1/2]."""
    return turns - jnp.round(turns)


def rotate(x_BTNH: Array, angle_BTR: Array, amplitude: float | Array, pairing: Pairing) -> Array:
    """Rotate the first 2R dimensions by the angles in float32, and return them in the dtype of x."""
    dtype = jnp.promote_types(x_BTNH.dtype, jnp.float32)
    cos, sin = (amplitude * wave[:, :, None, :] for wave in _compute_cos_sin(angle_BTR.astype(dtype)))
    turned = 2 * angle_BTR.shape[-1]
    first, second = split_pairs(x_BTNH[..., :turned].astype(dtype), pairing)
    pair = (first * cos - second * sin, second * cos + first * sin)
    out = join_pairs(pair, pairing).astype(x_BTNH.dtype)
    return out if turned == x_BTNH.shape[-1] else jnp.concatenate([out, x_BTNH[..., turned:]], axis=-1)


def _compute_cos_sin(angle_BTR: Array) -> tuple[Array, Array]:
    """Compute cosine and sine once for all heads and layers.

    XLA would fuse them into each rotation and compute them anew for each head: 15 instead of 1.3 ms for 8448 keys of
    three heads. It does not fuse through a joined array whose precision is stated, even if that changes nothing.
    """
    kind = jnp.finfo(angle_BTR.dtype)
    both = jnp.concatenate([jnp.cos(angle_BTR), jnp.sin(angle_BTR)], axis=-1)
    cos_BTR, sin_BTR = jnp.split(lax.reduce_precision(both, kind.nexp, kind.nmant), 2, axis=-1)
    return cos_BTR, sin_BTR


def split_pairs(x: Array, pairing: Pairing) -> tuple[Array, Array]:
    if pairing == "interleaved":
        return x[..., 0::2], x[..., 1::2]
    half = x.shape[-1] // 2
    return x[..., :half], x[..., half:]


def join_pairs(pair: tuple[Array, Array], pairing: Pairing) -> Array:
    if pairing == "interleaved":
        return jnp.stack(pair, axis=-1).reshape(*pair[0].shape[:-1], -1)
    return jnp.concatenate(pair, axis=-1)
