"""From queries, keys and positions to scores: the one place where an encoding's hooks are called in order."""

import math

import jax.numpy as jnp
from jax import Array

from ropelab.encodings.base import Context, Encoding, Params


def context(length: int | Array, num_heads: int, heads: Array | None = None) -> Context:
    """The context of a model that holds all its heads, or of the shard that holds `heads`."""
    return Context(length, num_heads, jnp.arange(num_heads, dtype=jnp.int32) if heads is None else heads)


def query_views(encoding: Encoding, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
    """Each view of the queries, head-major [B, N, T, H] and divided by sqrt(H)."""
    scale = 1 / math.sqrt(q_BTNH.shape[-1])
    return tuple(jnp.swapaxes(q * scale, 1, 2) for q in encoding.encode_q(params, q_BTNH, pos_BT, ctx))


def key_views(encoding: Encoding, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
    """Each view of the keys, head-major [B, K, S, H]."""
    return tuple(jnp.swapaxes(k, 1, 2) for k in encoding.encode_k(params, k_BSKH, pos_BS, ctx))


def product(q_BNTH: Array, k_BKSH: Array) -> Array:
    """q . k as s_BNTS, in float32 or wider; query head n sees key head n // G."""
    B, N, T, H = q_BNTH.shape
    K, S = k_BKSH.shape[1], k_BKSH.shape[2]
    dtype = jnp.promote_types(q_BNTH.dtype, jnp.float32)
    rows_BKMH = q_BNTH.reshape(B, K, N // K * T, H)
    return jnp.einsum("BKMH,BKSH->BKMS", rows_BKMH, k_BKSH, preferred_element_type=dtype).reshape(B, N, T, S)


def scores(
    encoding: Encoding,
    q_BTNH: Array,
    k_BSKH: Array,
    q_pos: Array,
    k_pos: Array,
    *,
    params: Params | None = None,
    length: int | Array | None = None,
) -> Array:
    """The scaled logits s_BNTS of any encoding, before a pattern hides anything.

    Args:
        q_pos, k_pos: i32[T] and i32[S], or with a batch axis in front.
        params: the encoding's learned tables, if it has any.
        length: tokens in context; the largest position plus one if not given.
    """
    encoding.check(q_BTNH.shape[-1])
    q_pos_BT = jnp.broadcast_to(jnp.asarray(q_pos), q_BTNH.shape[:2])
    k_pos_BS = jnp.broadcast_to(jnp.asarray(k_pos), k_BSKH.shape[:2])
    longest = jnp.maximum(jnp.max(q_pos_BT), jnp.max(k_pos_BS)) + 1
    ctx = context(longest if length is None else length, q_BTNH.shape[2])
    q_views = query_views(encoding, params or {}, q_BTNH, q_pos_BT, ctx)
    k_views = key_views(encoding, params or {}, k_BSKH, k_pos_BS, ctx)
    views = tuple(product(q, k) for q, k in zip(q_views, k_views, strict=True))
    return encoding.combine(params or {}, views, q_pos_BT, k_pos_BS, ctx)
