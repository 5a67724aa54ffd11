"""Computes scores from queries, keys and positions by calling an encoding's hooks in order."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from ropelab.encodings.base import Context, Encoding, Params
from ropelab.encodings.positions import context_length, normalize_positions
from ropelab.precision import einsum

T = TypeVar("T")
Views = tuple[Array, ...]


def make_context(length: int | Array, num_heads: int, heads: Array | None = None) -> Context:
    """Return the context of a model that has all its heads, or of the shard that has `heads`."""
    return Context(length, num_heads, jnp.arange(num_heads, dtype=jnp.int32) if heads is None else heads)


def select_encoding(encoding: Encoding, params: Params, layer: int) -> tuple[Encoding, Params]:
    """Return the encoding that a layer runs, and its learned tables."""
    kinds = encoding.unique_encodings()
    if kinds == (encoding,):
        return encoding, params
    kind = encoding.encoding_index(layer)
    return kinds[kind], params.get(str(kind), {})


def require_type(value: Any, kind: type[T]) -> T:
    """Return an encoding, or a pattern, unchanged.

    Raises:
        ValueError: for anything else, a spec that has not been parsed above all.
    """
    if not isinstance(value, kind):
        name = kind.__name__.lower()
        remedy = (
            f"parse it first: parse({value!r})" if isinstance(value, str) else f"give an instance of {kind.__name__}"
        )
        raise ValueError(f"{name}={value!r} is of the type {type(value).__name__}; {remedy}")
    return value


def check_params(encoding: Encoding, params: Params, num_heads: int, head_dim: int) -> None:
    """Raise `ValueError` if a learned table of the encoding is missing from `params`."""
    expected = jax.eval_shape(partial(encoding.init, num_heads=num_heads, head_dim=head_dim), jax.random.key(0))
    missing = [name for name in expected if name not in params]
    if missing:
        raise ValueError(
            f"{encoding!r} has learned tables and params has no {', '.join(missing)}; give params=, for instance "
            f"encoding.init(jax.random.key(0), num_heads={num_heads}, head_dim={head_dim})"
        )


def encode_queries(encoding: Encoding, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> Views:
    """Encode queries: each view, head-major [B, N, T, H] and divided by sqrt(H).

    If the encoding needs full rows, the raw queries follow as the last entry.
    """
    scale = 1 / math.sqrt(q_BTNH.shape[-1])
    views = tuple(jnp.swapaxes(q * scale, 1, 2) for q in encoding.encode_q(params, q_BTNH, pos_BT, ctx))
    return (*views, jnp.swapaxes(q_BTNH, 1, 2)) if encoding.needs_full_rows else views


def encode_keys(encoding: Encoding, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> Views:
    """Encode keys: each view, head-major [B, K, S, H]."""
    return tuple(jnp.swapaxes(k, 1, 2) for k in encoding.encode_k(params, k_BSKH, pos_BS, ctx))


def prepare_queries(encoding: Encoding, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> Views:
    """Return the queries as a kernel takes them, head-major: their views, or raw if keys are encoded per query."""
    if encoding.per_query_keys:
        return (jnp.swapaxes(q_BTNH, 1, 2),)
    return encode_queries(encoding, params, q_BTNH, pos_BT, ctx)


def prepare_keys(encoding: Encoding, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> Views:
    """Return the keys as a kernel takes them; see `prepare_queries`."""
    if encoding.per_query_keys:
        return (jnp.swapaxes(k_BSKH, 1, 2),)
    return encode_keys(encoding, params, k_BSKH, pos_BS, ctx)


def multiply_qk(q_BNTH: Array, k_BKSH: Array) -> Array:
    """Return q . k as s_BNTS, in float32 or wider; query head n reads key head n // G."""
    B, N, T, H = q_BNTH.shape
    K, S = k_BKSH.shape[1], k_BKSH.shape[2]
    dtype = jnp.promote_types(q_BNTH.dtype, jnp.float32)
    rows_BKMH = q_BNTH.reshape(B, K, N // K * T, H)
    if is_decode_shape(rows_BKMH.shape[2]):
        s_BKSM = einsum("BKMH,BKSH->BKSM", rows_BKMH, k_BKSH, preferred_element_type=dtype)
        return jnp.swapaxes(s_BKSM, 2, 3).reshape(B, N, T, S)
    return einsum("BKMH,BKSH->BKMS", rows_BKMH, k_BKSH, preferred_element_type=dtype).reshape(B, N, T, S)


def is_decode_shape(rows: int) -> bool:
    """Return whether to use the key-major score layout (faster with few queries, as in decoding).

    XLA's CPU products read the cache faster that way: with three rows, 8448 slots and 30 layers 51 ms instead of 63.
    """
    return rows <= 8


def compute_scores(
    encoding: Encoding,
    params: Params,
    queries: Views,
    keys: Views,
    q_pos_BT: Array,
    k_pos_BS: Array,
    ctx: Context,
    visible: Array | None = None,
    multiply: Callable[[Array, Array], Array] = multiply_qk,
) -> Array:
    """Compute s_BNTS from encoded views; encodings that need full rows also take the visible pairs."""
    if not encoding.needs_full_rows:
        products = tuple(multiply(q, k) for q, k in zip(queries, keys, strict=True))
        return encoding.combine(params, products, q_pos_BT, k_pos_BS, ctx)
    q_BNTH = queries[-1]
    products = tuple(multiply(q, k) for q, k in zip(queries[:-1], keys, strict=True))
    assert visible is not None
    return encoding.combine_rows(params, products, q_BNTH, visible, q_pos_BT, k_pos_BS, ctx)


def scores(
    encoding: Encoding,
    q_BTNH: Array,
    k_BSKH: Array,
    q_pos: ArrayLike,
    k_pos: ArrayLike,
    *,
    params: Params | None = None,
    length: int | Array | None = None,
    layer: int = 0,
    visible: Array | None = None,
) -> Array:
    """Compute the scaled logits s_BNTS of any encoding, before a pattern masks anything.

    Args:
        q_pos, k_pos: positions [T] and [S], or with a batch axis in front; fractions where the encoding takes them.
        params: the encoding's learned tables, as its `init` makes them, if it has any.
        length: tokens in context; the largest position plus one if not given.
        layer: which layer, for an encoding that is a schedule over layers.
        visible: bool[B, N or 1, T, S], the visible pairs, for encodings that need full rows; by default the keys at and
            before each query.

    Raises:
        ValueError: for positions that `normalize_positions` refuses, or heads that the encoding cannot serve.
    """
    encoding, tables = select_encoding(require_type(encoding, Encoding), params or {}, layer)
    encoding.check(q_BTNH.shape[-1])
    check_params(encoding, tables, q_BTNH.shape[2], q_BTNH.shape[-1])
    q_BTNH, k_BSKH = jnp.asarray(q_BTNH), jnp.asarray(k_BSKH)
    q_pos_BT = normalize_positions(q_pos, q_BTNH.shape[:2], encoding, "q_pos")
    k_pos_BS = normalize_positions(k_pos, k_BSKH.shape[:2], encoding, "k_pos")
    ctx = make_context(context_length(q_pos_BT, k_pos_BS) if length is None else length, q_BTNH.shape[2])

    def square(queries: Views, keys: Views) -> Array:
        (q, q_pos), (k, k_pos) = queries, keys
        here = ctx._replace(group=encoding.query_group(q_pos)[0, 0]) if encoding.per_query_keys else ctx
        q_views = encode_queries(encoding, tables, q, q_pos, here)
        k_views = encode_keys(encoding, tables, k, k_pos, here)
        past = (k_pos[:, None, :] <= q_pos[:, :, None])[:, None]
        seen = past if visible is None else visible
        return compute_scores(encoding, tables, q_views, k_views, q_pos, k_pos, here, seen)

    if not encoding.per_query_keys:
        return square((q_BTNH, q_pos_BT), (k_BSKH, k_pos_BS))
    all_queries = jit_for_float64(partial(map_queries, lambda q, k: square(q, k)[0, :, 0]))
    return jnp.swapaxes(all_queries((q_BTNH, q_pos_BT), (k_BSKH, k_pos_BS)), 1, 2)


def jit_for_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that loops over key groups, also if nothing around it is compiled.

    Outside of `jit`, jax 0.7 passes the float64 frequencies of a loop as float32 and fails.
    """
    return jax.jit(function)


def map_queries(function: Callable[[Any, Any], Any], queries: Any, keys: Any) -> Any:
    """Evaluate each query [B, T, ...] separately against the keys [B, S, ...] of its row: results as [B, T, ...].

    `function` gets one query [1, 1, ...] and one row of keys [1, S, ...].
    """

    def row(queries: Any, keys: Any) -> Any:
        one_row = jax.tree.map(lambda x: x[None], keys)
        return lax.map(lambda query: function(jax.tree.map(lambda x: x[None, None], query), one_row), queries)

    return jax.vmap(row)(queries, keys)
