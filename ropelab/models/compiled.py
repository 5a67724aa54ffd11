"""The jitted entry points: one compilation for each wiring and shape, shared by every model object."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from ropelab.models import head
from ropelab.models.config import Wiring
from ropelab.models.llama import Cache, Placed, empty_cache, extend, hidden_states

Params = dict[str, Any]


@partial(jax.jit, static_argnums=0, static_argnames="length")
def logits(
    wiring: Wiring, params: Params, tokens_BT: Array, pos: Array, segments: Array | None, *, length: int | None
) -> Array:
    """float32[B, T, V]; a `length` of None is taken from the positions."""
    return head.logits(params, hidden_states(wiring, params, tokens_BT, place(pos, segments, length)))


@partial(jax.jit, static_argnums=0, static_argnames="length")
def nll(
    wiring: Wiring, params: Params, tokens_BT: Array, pos: Array, segments: Array | None, *, length: int | None
) -> Array:
    """float32[B, T - 1]: the last token is a target only."""
    placed = place(pos, segments, length)
    x_BTD = hidden_states(wiring, params, tokens_BT, placed)
    return head.negative_log_likelihood(params, x_BTD[:, :-1], tokens_BT[:, 1:])


@partial(jax.jit, static_argnums=0, static_argnames="length", donate_argnames="cache")
def nll_part(
    wiring: Wiring, params: Params, tokens_BT: Array, targets_BT: Array, cache: Cache, *, length: int
) -> tuple[Array, Cache]:
    """float32[B, T] of further tokens of a text of `length`, whose earlier tokens are in the cache."""
    B, T = tokens_BT.shape
    placed = place(cache.filled + jnp.arange(T), None, length, B)
    x_BTD, cache = extend(wiring, params, tokens_BT, placed, cache)
    return head.negative_log_likelihood(params, x_BTD, targets_BT), cache


@partial(jax.jit, static_argnums=(0, 1))
def prefill(wiring: Wiring, slots: int, params: Params, tokens_BT: Array) -> tuple[Array, Cache]:
    """Logits of a prompt and a cache of `slots` tokens that holds it."""
    B, T = tokens_BT.shape
    cache = empty_cache(wiring, B, slots, params["embedding"].dtype)
    x_BTD, cache = extend(wiring, params, tokens_BT, place(jnp.arange(T), None, T, B), cache)
    return head.logits(params, x_BTD), cache


@partial(jax.jit, static_argnums=0, donate_argnums=3)
def decode(wiring: Wiring, params: Params, tokens_BT: Array, cache: Cache) -> tuple[Array, Cache]:
    """Logits of the next tokens, given a cache of all before them."""
    B, T = tokens_BT.shape
    placed = place(cache.filled + jnp.arange(T), None, cache.filled + T, B)
    x_BTD, cache = extend(wiring, params, tokens_BT, placed, cache)
    return head.logits(params, x_BTD), cache


@partial(jax.jit, static_argnums=0)
def decode_each(wiring: Wiring, params: Params, tokens_BT: Array, cache: Cache) -> Array:
    """Logits of known tokens fed one at a time, as a decoder would."""

    def step(cache: Cache, token_B: Array) -> tuple[Cache, Array]:
        scores_B1V, cache = decode(wiring, params, token_B[:, None], cache)
        return cache, scores_B1V[:, 0]

    return jnp.swapaxes(lax.scan(step, cache, tokens_BT.T)[1], 0, 1)


def place(pos: Array, segments: Array | None, length: int | Array | None, batch: int | None = None) -> Placed:
    """Positions with a batch axis, and the length they imply unless one is given."""
    pos_BT = pos if batch is None else jnp.broadcast_to(pos, (batch, pos.shape[-1]))
    return Placed(pos_BT.astype(jnp.int32), segments, jnp.max(pos) + 1 if length is None else length)
