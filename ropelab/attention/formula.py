"""One block of queries against one block of keys: what every kernel is made of."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from ropelab.attention.pattern import Pattern
from ropelab.encodings.base import Context, Encoding, Params
from ropelab.encodings.scoring import few, joined, key_views, product, query_views
from ropelab.precision import einsum

Result = tuple[Array, Array]  # (out_BNTH, lse_BNT)


class Formula(NamedTuple):
    """The static part of an attention call: which scores, which counts, how many heads in the model."""

    encoding: Encoding
    pattern: Pattern
    num_heads: int


class Tokens(NamedTuple):
    """Encoded queries, or encoded keys, with what travels along with them.

    Attributes:
        views: each [B, N, T, H] for queries, divided by sqrt(H); [B, K, S, H] for keys. Under a framed encoding
            the queries and keys themselves, to be encoded when they are read.
        pos: i32[B, T], positions, in any order.
        segments: i32[B, T], the document of each token; tokens see their own document only.
    """

    views: tuple[Array, ...]
    pos: Array
    segments: Array | None


class Operands(NamedTuple):
    """The arrays of an attention call.

    Attributes:
        params: the encoding's learned tables.
        queries, keys: encoded tokens.
        values: v_BKSH.
        length: tokens in context.
        heads: i32[N], global numbers of the query heads present.
    """

    params: Params
    queries: Tokens
    keys: Tokens
    values: Array
    length: int | Array
    heads: Array


def block_scores(
    formula: Formula,
    operands: Operands,
    queries: Tokens,
    keys: Tokens,
    frame: Array | None = None,
    multiply: Callable[[Array, Array], Array] = product,
) -> Array:
    """s_BNTS, before anything is hidden.

    Args:
        frame: under a framed encoding, the one whose queries get their scores; the others' entries mean nothing.
        multiply: what makes s_BNTS of a view of the queries and one of the keys.
    """
    encoding, params = formula.encoding, operands.params
    ctx = Context(operands.length, formula.num_heads, operands.heads, frame)
    q_views, k_views = queries.views, keys.views
    if encoding.framed:
        q_views = query_views(encoding, params, jnp.swapaxes(q_views[0], 1, 2), queries.pos, ctx)
        k_views = key_views(encoding, params, jnp.swapaxes(k_views[0], 1, 2), keys.pos, ctx)
    visible = block_counts(formula, operands, queries, keys) > 0 if encoding.contextual else None
    return joined(encoding, params, q_views, k_views, queries.pos, keys.pos, ctx, visible, multiply)


def block_counts(formula: Formula, operands: Operands, queries: Tokens, keys: Tokens) -> Array:
    """n_BNTS, or n_B1TS where all heads see the same."""
    q_pos, k_pos = queries.pos[:, None, :, None], keys.pos[:, None, None, :]
    n = formula.pattern.counts(q_pos, k_pos, operands.heads[:, None, None], formula.num_heads)
    n_BNTS = jnp.broadcast_to(n, jnp.broadcast_shapes(jnp.shape(n), q_pos.shape, k_pos.shape))
    if queries.segments is None or keys.segments is None:
        return n_BNTS
    same_BTS = queries.segments[:, :, None] == keys.segments[:, None, :]
    return n_BNTS * same_BTS[:, None]


def weighted(s_BNTS: Array, n_BNTS: Array) -> Array:
    """s + log n, and -inf where n = 0: never a finite number, which growing scores could overtake."""
    if n_BNTS.dtype == jnp.bool_:
        return jnp.where(n_BNTS, s_BNTS, -jnp.inf)
    return jnp.where(n_BNTS > 0, s_BNTS + jnp.log(jnp.maximum(n_BNTS, 1).astype(s_BNTS.dtype)), -jnp.inf)


def mean_of_values(p_BNTS: Array, v_BKSH: Array) -> Array:
    """sum_j p_ij v_j as [B, N, T, H], accumulated in the dtype of p."""
    B, N, T, S = p_BNTS.shape
    K, H = v_BKSH.shape[1], v_BKSH.shape[3]
    p_BKMS = p_BNTS.astype(v_BKSH.dtype).reshape(B, K, N // K * T, S)
    if few(p_BKMS.shape[2]):
        p_BKSM = jnp.swapaxes(p_BKMS, 2, 3)
        out_BKMH = einsum("BKSM,BKSH->BKMH", p_BKSM, v_BKSH, preferred_element_type=p_BNTS.dtype)
    else:
        out_BKMH = einsum("BKMS,BKSH->BKMH", p_BKMS, v_BKSH, preferred_element_type=p_BNTS.dtype)
    return out_BKMH.reshape(B, N, T, H)
