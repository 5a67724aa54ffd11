"""Subsets of heads and tokens, and exact merging of partial results, for patterns that arrange their calls.

Results over different keys of the same queries merge exactly by their log-sum-exp:

    lse = log sum_b exp(lse_b),   out = sum_b exp(lse_b - lse) out_b
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ropelab.attention.formula import Operands, Result, Tokens

_Indices = slice | np.ndarray


class HeadResult(NamedTuple):
    """`(out, lse)` of some of the query heads."""

    heads: tuple[int, ...]
    result: Result


def select_heads(operands: Operands, heads: Sequence[int]) -> Operands:
    """Select query heads, and the key heads that they read."""
    N, K = operands.queries.views[0].shape[1], operands.values.shape[1]
    wanted = [head // (N // K) for head in heads]
    each = [head for head in dict.fromkeys(wanted) for _ in range(len(wanted) // len(set(wanted)))]
    keys = list(dict.fromkeys(wanted)) if each == wanted else wanted
    queries = operands.queries._replace(views=tuple(_take_axis(view, heads, 1) for view in operands.queries.views))
    return operands._replace(
        queries=queries,
        keys=operands.keys._replace(views=tuple(_take_axis(view, keys, 1) for view in operands.keys.views)),
        values=_take_axis(operands.values, keys, 1),
        heads=_take_axis(operands.heads, heads, 0),
    )


def select_tokens(operands: Operands, queries: _Indices = slice(None), keys: _Indices = slice(None)) -> Operands:
    """Select queries and keys by number."""
    return operands._replace(
        queries=select(operands.queries, queries),
        keys=select(operands.keys, keys),
        values=operands.values[:, :, keys],
    )


def select(tokens: Tokens, numbers: _Indices) -> Tokens:
    segments = None if tokens.segments is None else tokens.segments[:, numbers]
    return Tokens(tuple(view[:, :, numbers] for view in tokens.views), tokens.pos[:, numbers], segments)


def _take_axis(x: Array, numbers: Sequence[int], axis: int) -> Array:
    """Entries of one axis; a plain slice where they are neighbours."""
    first = numbers[0]
    if list(numbers) == list(range(first, first + len(numbers))):
        return lax.slice_in_dim(x, first, first + len(numbers), axis=axis)
    return jnp.take(x, np.asarray(numbers), axis=axis)


def concat_heads(parts: Sequence[HeadResult]) -> Result:
    """Concatenate parts that contain each head once, in the order of the heads."""
    order = np.argsort([head for part in parts for head in part.heads])
    out, lse = (jnp.concatenate([part.result[n] for part in parts], axis=1) for n in range(2))
    return _take_axis(out, order.tolist(), 1), _take_axis(lse, order.tolist(), 1)


def scatter(result: Result, rate: int, offsets: Sequence[int], T: int) -> Result:
    """Scatter results of every `rate`-th token, from each head's offset on, among all T: 0 and -inf elsewhere."""
    out_BNMH, lse_BNM = result
    B, N, M, H = out_BNMH.shape
    here = jnp.asarray(np.arange(rate) == np.asarray(offsets)[:, None])[None, :, None]
    out = jnp.where(here[..., None], out_BNMH[:, :, :, None], 0).reshape(B, N, M * rate, H)
    return out[:, :, :T], jnp.where(here, lse_BNM[..., None], -jnp.inf).reshape(B, N, M * rate)[:, :, :T]


def merge_results(parts: Sequence[Result], *, weights_learn: bool = True) -> Result:
    """Merge results over different keys; 0 and -inf where no part sees a key.

    Args:
        weights_learn: whether gradients go through the weights exp(lse_b - lse) of out, as they do in one softmax
            over all keys.
    """
    top = lax.stop_gradient(jnp.max(jnp.stack([lse for _, lse in parts]), axis=0))
    sees = top > -jnp.inf
    top = jnp.where(sees, top, 0.0)
    shares = [jnp.exp(lse - top) for _, lse in parts]
    total = jnp.where(sees, sum(shares), 1.0)
    lse = jnp.where(sees, top + jnp.log(total), -jnp.inf)
    weights = [share / total for share in shares]
    if not weights_learn:
        weights = [lax.stop_gradient(weight) for weight in weights]
    dtype = parts[0][0].dtype
    out = sum(weight[..., None] * part.astype(weight.dtype) for weight, (part, _) in zip(weights, parts, strict=True))
    return jnp.asarray(out, dtype), lse


def strided(rate: int, operands: Operands, offset: int, zero: Array) -> Operands:
    """Select queries, keys and values number offset, offset + rate, offset + 2 rate, ...

    Args:
        zero: added to what is picked, see `zero_after`.
    """
    kept = select_tokens(operands, slice(offset, None, rate), slice(offset, None, rate))
    arrays = kept.queries.views, kept.keys.views, kept.values
    q_views, k_views, values = jax.tree.map(lambda x: x + zero.astype(x.dtype), arrays)
    queries, keys = kept.queries._replace(views=q_views), kept.keys._replace(views=k_views)
    return kept._replace(queries=queries, keys=keys, values=values)


def sequencing_zero(result: Result) -> Array:
    """Return a 0 that XLA cannot compute before the result exists.

    Arrays to which it is added are computed after the result. Otherwise the tokens of all branches are selected
    first and kept in memory: 5.1 instead of 4.1 times the bytes of the queries at 65536 tokens.
    (`optimization_barrier` is removed before a CPU's schedule is made.)
    """
    return (result[1].ravel()[0] > jnp.inf).astype(jnp.int32)


def pad_queries(result: Result, M: int) -> Result:
    """Pad a result to M queries with queries that see nothing."""
    out, lse = result
    missing = M - lse.shape[2]
    none: list[tuple[int, int]] = [(0, 0)] * 2
    return (
        jnp.pad(out, [*none, (0, missing), (0, 0)]),
        jnp.pad(lse, [*none, (0, missing)], constant_values=-jnp.inf),
    )


def empty_result(like: Operands, heads: int, T: int) -> Result:
    """Return the result of queries that see nothing."""
    B, H = like.values.shape[0], like.values.shape[-1]
    dtype = jnp.promote_types(like.values.dtype, jnp.float32)
    return jnp.zeros((B, heads, T, H), like.values.dtype), jnp.full((B, heads, T), -jnp.inf, dtype)
