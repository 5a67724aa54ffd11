"""The backward pass of `blockwise`: probabilities recomputed from the log-sum-exp, memory O(T).

With the cotangents dout and dlse of both results,

    p_ij = exp(s_ij - lse_i),  dv_j = sum_i p_ij dout_i,  ds_ij = p_ij (dout_i . v_j - dout_i . out_i + dlse_i)

and ds goes on through `block_scores`, a pure function of (params, q, k), by `jax.vjp`: no encoding needs a
gradient of its own. The term dlse is what `jax.nn.dot_product_attention`, cuDNN and tokamax leave out; without
it, partial results merged by their lse train with dq wrong by 23 %.

Source: FlashAttention-2, arXiv 2307.08691, algorithm 2, with dlse added.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from ropelab.attention.blocks import Formula, Operands, Tokens, block_counts, block_scores, weighted
from ropelab.attention.cutting import HIDDEN
from ropelab.attention.frames import over_frames
from ropelab.encodings.base import Params


class Row(NamedTuple):
    """One block of queries and what the forward pass and the caller said of it."""

    queries: Tokens
    lse: Array
    dout: Array
    shift: Array  # dlse - dout . out


class Column(NamedTuple):
    """One block of keys with its values."""

    keys: Tokens
    values: Array


def cotangents(
    formula: Formula, operands: Operands, cases: Array, out: Array, lse: Array, dout: Array, dlse: Array
) -> Operands:
    """The cotangent of `operands`: None for positions, segments and heads.

    One pass over the blocks of keys, inside it one over the blocks of queries.
    """
    dout = dout.astype(lse.dtype)
    sees = lse > -jnp.inf
    shift = jnp.where(sees, dlse, 0.0) - jnp.sum(dout * out.astype(lse.dtype), axis=-1)
    rows = Row(operands.queries, jnp.where(sees, lse, 0.0), dout, shift)

    def column(carry: tuple, xs: tuple[Column, Array]) -> tuple[tuple, tuple]:
        dparams, dq_views = carry
        (dparams, dk, dv), dq = column_cotangents(formula, operands, dparams, rows, *xs)
        return (dparams, jax.tree.map(jnp.add, dq_views, dq)), (dk, dv)

    start = jax.tree.map(jnp.zeros_like, (operands.params, operands.queries.views))
    columns = (Column(operands.keys, operands.values), cases.T)
    (dparams, dq_views), (dk_views, dvalues) = lax.scan(column, start, columns)
    none: Any = None  # what jax takes for the cotangent of an integer
    queries, keys = Tokens(dq_views, none, none), Tokens(dk_views, none, none)
    return Operands(dparams, queries, keys, dvalues, none, none)


def column_cotangents(
    formula: Formula, operands: Operands, dparams: dict, rows: Row, column: Column, cases: Array
) -> tuple[tuple, tuple]:
    """`((dparams, dk, dv), dq)` of one block of keys against all blocks of queries."""

    def row(carry: tuple, xs: tuple[Row, Array]) -> tuple[tuple, tuple]:
        row, case = xs
        nothing = jax.tree.map(jnp.zeros_like, row.queries.views)

        def seen(carry: tuple) -> tuple:
            return block_cotangents(formula, operands, row, column, carry)

        return lax.cond(case == HIDDEN, lambda carry: (carry, nothing), seen, carry)

    start = (dparams, *jax.tree.map(jnp.zeros_like, (column.keys.views, column.values)))
    return lax.scan(row, start, (rows, cases))


def block_cotangents(formula: Formula, operands: Operands, row: Row, column: Column, carry: tuple) -> tuple:
    """Add one block's share to dparams, dk and dv, and return its share of dq."""

    s_BNTS, pull = scored(formula, operands, row, column)
    s_BNTS = weighted(s_BNTS, block_counts(formula, operands, row.queries, column.keys))
    p_BNTS = jnp.exp(s_BNTS - row.lse[..., None])
    dout_BKMH = grouped(row.dout, column.values.shape[1])
    dp_BNTS = jnp.einsum("BKMH,BKSH->BKMS", dout_BKMH, column.values).reshape(p_BNTS.shape)
    dv = jnp.einsum("BKMS,BKMH->BKSH", grouped(p_BNTS, column.values.shape[1]), dout_BKMH)
    dparams, dq, dk = pull(p_BNTS * (dp_BNTS + row.shift[..., None]))
    added = jax.tree.map(lambda a, b: a + b.astype(a.dtype), carry, (dparams, dk, dv))
    return added, dq


def scored(formula: Formula, operands: Operands, row: Row, column: Column) -> tuple[Array, Callable[[Array], tuple]]:
    """The scores of a block and the function that pulls their cotangent back to (params, queries, keys).

    Under a framed encoding both go frame by frame: each query has its scores from its own frame alone.
    """

    def score(params: Params, q_views: tuple, k_views: tuple, frame: Array | None) -> Array:
        queries, keys = row.queries._replace(views=q_views), column.keys._replace(views=k_views)
        return block_scores(formula, operands._replace(params=params), queries, keys, frame)

    given = (operands.params, row.queries.views, column.keys.views)
    if not formula.encoding.framed:
        return jax.vjp(lambda params, q_views, k_views: score(params, q_views, k_views, None), *given)
    frame_BT = formula.encoding.frame_of(row.queries.pos)

    def add_scores(s_BNTS: Array, frame: Array, here: Array) -> Array:
        return jnp.where(here[..., None], score(*given, frame), s_BNTS)

    shape = jax.eval_shape(score, *given, frame_BT[0, 0])
    s_BNTS = over_frames(frame_BT, jnp.zeros(shape.shape, shape.dtype), add_scores)

    def pull(ds_BNTS: Array) -> tuple:
        def add_share(sums: tuple, frame: Array, here: Array) -> tuple:
            _, pull_frame = jax.vjp(lambda params, q_views, k_views: score(params, q_views, k_views, frame), *given)
            return jax.tree.map(jnp.add, sums, pull_frame(jnp.where(here[..., None], ds_BNTS, 0.0)))

        return over_frames(frame_BT, jax.tree.map(jnp.zeros_like, given), add_share)

    return s_BNTS, pull


def grouped(x_BNTX: Array, K: int) -> Array:
    """Query heads that share a key head, as rows of one matrix: [B, K, N / K * T, ...]."""
    B, N, T, X = x_BNTX.shape
    return x_BNTX.reshape(B, K, N // K * T, X)
