"""Encodings and kernels with one fault each, as released software has shipped them."""

import dataclasses
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.attention import Causal, attend
from ropelab.attention.formula import Formula, Operands
from ropelab.attention.kernels.blockwise import blockwise
from ropelab.attention.kernels.dense import dense
from ropelab.contract.samples import B, N, T
from ropelab.encodings import ALiBi, Context, DynamicNTK, Encoding, NoPE, RoPE, YaRN, rope_frequencies
from ropelab.encodings.base import Params
from ropelab.encodings.scoring import make_context
from ropelab.encodings.yarn import find_ramp_bounds
from ropelab.spec import spec
from tests.encodings.user_encoding import LeakyReRoPE


@spec
class NeverReadsBase(RoPE):
    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        return rope_frequencies(self.rotated_dims(head_dim), base=1e4), 1.0


@spec
class TableWithoutBase(RoPE):
    tables: ClassVar[dict[int, Any]] = {}

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        return self.tables.setdefault(head_dim, RoPE.frequencies(self, head_dim, length))


@spec
class ScaledTwice(YaRN):
    def turn(self, x_BTNH: Array, pos_BT: Array, ctx: Context) -> Array:
        return YaRN.turn(self, x_BTNH, pos_BT / self.factor, ctx)


@spec
class NoTemperature(YaRN):
    @property
    def amplitude(self) -> float:
        return 1.0


@spec
class CountsForItself(RoPE):
    def turn(self, x_BTNH: Array, pos_BT: Array, ctx: Context) -> Array:
        counted = jnp.broadcast_to(jnp.arange(x_BTNH.shape[1]), x_BTNH.shape[:2])
        return RoPE.turn(self, x_BTNH, counted, ctx)


@spec
class NarrowPositions(RoPE):
    def turn(self, x_BTNH: Array, pos_BT: Array, ctx: Context) -> Array:
        return RoPE.turn(self, x_BTNH, jnp.asarray(pos_BT, jnp.bfloat16), ctx)


@spec
class NarrowRotation(RoPE):
    """Sines and products in the dtype of the model."""

    def turn(self, x_BTNH: Array, pos_BT: Array, ctx: Context) -> Array:
        inv_freq = jnp.asarray(self.frequencies(x_BTNH.shape[-1], ctx.length)[0], jnp.float32)
        angle = pos_BT[..., None, None] * inv_freq
        cos, sin = jnp.cos(angle).astype(x_BTNH.dtype), jnp.sin(angle).astype(x_BTNH.dtype)
        first, second = jnp.split(x_BTNH, 2, axis=-1)
        return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


@spec
class ForgetsTheSeam(RoPE):
    """Every chunk of sixteen tokens counts from 0 again."""

    def turn(self, x_BTNH: Array, pos_BT: Array, ctx: Context) -> Array:
        return RoPE.turn(self, x_BTNH, jnp.asarray(pos_BT) % 16, ctx)


@spec
class MismatchedPairs(RoPE):
    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        return RoPE.encode_k(dataclasses.replace(self, pairing="interleaved"), params, k_BSKH, pos_BS, ctx)


@spec
class Decaying(RoPE):
    """xPos in its simplest form: queries grow as keys shrink, so that their product falls with the distance."""

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        return (self.turn(q_BTNH, pos_BT, ctx) * self.decay(pos_BT),)

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        return (self.turn(k_BSKH, pos_BS, ctx) / self.decay(pos_BS),)

    def decay(self, pos_BT: Array) -> Array:
        return 0.9 ** (jnp.asarray(pos_BT, jnp.float32)[..., None, None] / 512)


@spec
class DecayingOnOneSide(Decaying):
    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        return RoPE.encode_q(self, params, q_BTNH, pos_BT, ctx)


@spec
class LocalSlopes(ALiBi):
    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        return ALiBi.combine(self, params, views, q_pos_BT, k_pos_BS, make_context(ctx.length, len(ctx.heads)))


@spec
class BiasInTheBlock(ALiBi):
    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        rows, columns = (jnp.broadcast_to(jnp.arange(p.shape[1]), p.shape) for p in (q_pos_BT, k_pos_BS))
        return ALiBi.combine(self, params, views, rows, columns, ctx)


@spec
class LostSeamOffset(LeakyReRoPE):
    def seam(self, pos_BT: Array) -> Array:
        return jnp.zeros_like(pos_BT)


@spec
class LengthWhileTracing(DynamicNTK):
    def frequencies(self, head_dim: int, length: int | Array) -> tuple[Any, float]:
        return DynamicNTK.frequencies(self, head_dim, int(length))


@spec
class UndeclaredLength(DynamicNTK):
    @property
    def depends_on_length(self) -> bool:
        return False


def half_ramp(head_dim: int, **rest: Any) -> tuple[float, float]:
    """The ramp's ends from half of the dimensions."""
    return find_ramp_bounds(head_dim // 2, **rest)


def shifted(formula: Formula, operands: Operands) -> tuple[Array, Array]:
    """The output moved by one token, as LongLoRA's shift has it when it is not undone."""
    return tuple(jnp.roll(x, 1, axis=2) for x in dense(formula, operands))


def tiled(formula: Formula, operands: Operands) -> tuple[Array, Array]:
    """Query head n reads key head n % K in place of n // (N / K)."""
    keys, groups = operands.keys, len(operands.heads) // operands.values.shape[1]
    views = tuple(jnp.tile(view, (1, groups, 1, 1)) for view in keys.views)
    repeated = operands._replace(keys=keys._replace(views=views), values=jnp.tile(operands.values, (1, groups, 1, 1)))
    return dense(formula, repeated)


def without_lse_gradient(formula: Formula, operands: Operands) -> tuple[Array, Array]:
    out, lse = blockwise(formula, operands, block=(8, 5))
    return out, jax.lax.stop_gradient(lse)


def bidirectional(formula: Formula, operands: Operands) -> tuple[Array, Array]:
    """A tenth of an attention that sees everything."""
    out, lse = dense(formula, operands)
    everything = operands._replace(queries=operands.queries._replace(pos=operands.queries.pos + 10**6))
    return 0.9 * out + 0.1 * dense(formula._replace(pattern=Causal()), everything)[0], lse


@partial(jax.jit, static_argnums=0)
def decode_from_rotated_keys(
    encoding: Encoding, params: Params, qkv: tuple[Array, ...], pos: Array, t: Array, length: Array
) -> Array:
    """A cache that keeps each key as it was rotated at the length of its own time (transformers#25104)."""
    q, k, v = qkv
    rows = jnp.broadcast_to(pos, (B, T))

    def rotated(s: Array) -> Array:
        return encoding.encode_k(params, k, rows, make_context(pos[s] + pos[1], N))[0][:, s]

    keys = jax.vmap(rotated, out_axes=1)(jnp.arange(T))
    queries = encoding.encode_q(params, q, rows, make_context(length, N))[0]
    out, _ = attend(queries, keys, v, encoding=NoPE(), q_pos=pos, k_pos=pos)
    return out[:, t]
