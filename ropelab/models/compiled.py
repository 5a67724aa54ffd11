"""The jitted entry points: one compilation for each wiring and shape, shared by every model object."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ropelab.encodings.positions import context_length
from ropelab.models import decoding, head
from ropelab.models.config import Wiring
from ropelab.models.sequence import whole_text
from ropelab.models.stack import Cache, Placed, empty_cache, extend

Params = dict[str, Any]


@partial(jax.jit, static_argnums=0, static_argnames="length")
def logits(
    wiring: Wiring, params: Params, tokens_BT: Array, pos: Array | None, segments: Array | None, *, length: int | None
) -> Array:
    """float32[B, T, V]; positions of None are 0, 1, 2, ..., a `length` of None is taken from the positions."""
    return head.logits(params, whole_text(wiring, params, tokens_BT, placed(tokens_BT, pos, segments, length)))


@partial(jax.jit, static_argnums=0, static_argnames="length")
def nll(
    wiring: Wiring, params: Params, tokens_BT: Array, pos: Array | None, segments: Array | None, *, length: int | None
) -> Array:
    """float32[B, T - 1]: the last token is a target only."""
    x_BTD = whole_text(wiring, params, tokens_BT, placed(tokens_BT, pos, segments, length))
    return head.negative_log_likelihood(params, x_BTD[:, :-1], tokens_BT[:, 1:])


@partial(jax.jit, static_argnums=(0, 1))
def judged(
    wiring: Wiring,
    count: int,
    params: Params,
    tokens_BT: Array,
    segments_BT: Array,
    starts_B: Array,
    length: int | Array,
) -> tuple[Array, Array]:
    """`(nll_BC, likeliest_BC)` of `count` tokens of each row from token `start` on: -log p, and whether no other word
    is likelier. Logits are made of those alone."""
    x_BTD = whole_text(wiring, params, tokens_BT, placed(tokens_BT, None, segments_BT, None)._replace(length=length))
    at_BC = jnp.clip(starts_B[:, None] + jnp.arange(count), 1, tokens_BT.shape[1] - 1)
    logits_BCV = head.logits(params, jnp.take_along_axis(x_BTD, at_BC[..., None] - 1, axis=1))
    targets_BC = jnp.take_along_axis(tokens_BT, at_BC, axis=1)
    picked_BC = jnp.take_along_axis(logits_BCV, targets_BC[..., None], axis=2)[..., 0]
    return jax.nn.logsumexp(logits_BCV, axis=-1) - picked_BC, picked_BC >= jnp.max(logits_BCV, axis=-1)


@partial(jax.jit, static_argnums=0, static_argnames="length", donate_argnames="cache")
def nll_part(
    wiring: Wiring, params: Params, tokens_BT: Array, targets_BT: Array, cache: Cache, *, length: int
) -> tuple[Array, Cache]:
    """float32[B, T] of further tokens of a text of `length`, whose earlier tokens are in the cache."""
    B, T = tokens_BT.shape
    placed = place(cache.filled + jnp.arange(T), None, length, B)
    x_BTD, cache = extend(wiring, params, tokens_BT, placed, cache)
    return head.negative_log_likelihood(params, x_BTD, targets_BT), cache


@partial(jax.jit, static_argnums=0, static_argnames="length", donate_argnums=5)
def read_part(
    wiring: Wiring, params: Params, tokens_BT: Array, segments_BT: Array, last_B: Array, cache: Cache, *, length: int
) -> tuple[Array, Cache]:
    """float32[B, V] at token `last` of each row, in a part of prompts of `length`; noise for rows ending elsewhere."""
    B, T = tokens_BT.shape
    placed = place(cache.filled + jnp.arange(T), segments_BT, length, B)
    x_BTD, cache = extend(wiring, params, tokens_BT, placed, cache)
    x_B1D = jnp.take_along_axis(x_BTD, jnp.clip(last_B, 0, T - 1)[:, None, None], axis=1)
    return head.logits(params, x_B1D)[:, 0], cache


@partial(jax.jit, static_argnums=(0, 1))
def prefill(wiring: Wiring, slots: int, params: Params, tokens_BT: Array) -> tuple[Array, Cache]:
    """Logits of a prompt and a cache of `slots` tokens that holds it."""
    B, T = tokens_BT.shape
    cache = empty_cache(wiring, B, slots, params["embedding"].dtype)
    x_BTD, cache = extend(wiring, params, tokens_BT, place(jnp.arange(T), None, T, B), cache)
    return head.logits(params, x_BTD), cache


memory_of = jax.jit(decoding.memory_of, static_argnums=0)
step = jax.jit(decoding.step, static_argnums=0, donate_argnums=5)


def placed(tokens_BT: Array, pos: Array | None, segments: Array | None, length: int | None) -> Placed:
    """Where tokens stand that are all there is: in order, unless positions are given."""
    if pos is not None:
        return place(pos, segments, length)
    B, T = tokens_BT.shape
    return place(jnp.arange(T), segments, T if length is None else length, B)._replace(in_order=True)


def place(pos: Array, segments: Array | None, length: int | Array | None, batch: int | None = None) -> Placed:
    """Positions with a batch axis, and the length they imply unless one is given."""
    pos_BT = pos if batch is None else jnp.broadcast_to(pos, (batch, pos.shape[-1]))
    if jnp.issubdtype(pos.dtype, jnp.integer):
        pos_BT = pos_BT.astype(jnp.int32)
    return Placed(pos_BT, segments, context_length(pos_BT) if length is None else length)
