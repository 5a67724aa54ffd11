"""The backward pass of `blockwise`: probabilities recomputed from the log-sum-exp, memory O(T).

With the cotangents dout and dlse of both results,

    p_ij = exp(s_ij - lse_i),  dv_j = sum_i p_ij dout_i,  ds_ij = p_ij (dout_i . v_j - dout_i . out_i + dlse_i)

and ds goes on through `block_scores`, a pure function of (params, q, k), by `jax.vjp`: no encoding needs a
gradient of its own. The term dlse is what `jax.nn.dot_product_attention`, cuDNN and tokamax leave out; without
it, partial results merged by their lse train with dq wrong by 23 %.

Source: FlashAttention-2, arXiv 2307.08691, algorithm 2, with dlse added.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from ropelab.attention.formula import Formula, Operands, Result, Tokens, add_log_counts, count_block, score_block
from ropelab.attention.kernels.blocking import MIXED, WHOLE, classify_blocks, cut, cut_operands, join, loop_over_groups
from ropelab.encodings.base import Params
from ropelab.encodings.scoring import multiply_qk
from ropelab.precision import einsum


class _Row(NamedTuple):
    """One block of queries with its results and cotangents."""

    queries: Tokens
    lse: Array
    dout: Array
    shift: Array  # dlse - dout . out


class _Column(NamedTuple):
    """One block of keys with its values."""

    keys: Tokens
    values: Array


def compute_cotangents(
    formula: Formula,
    block: tuple[int, int],
    operands: Operands,
    result: tuple[Array, Array],
    given: tuple[Array, Array],
) -> Operands:
    """Return the cotangent of `operands`, given those of the result; None for positions, segments, length and heads.

    One pass over the blocks of keys, inside it one over the blocks of queries that see them. The result may be that of
    more keys than are here: then this is their share of the cotangent, as each step of a ring needs it.
    """
    T, S = operands.queries.pos.shape[1], operands.keys.pos.shape[1]
    pieces = cut_operands(operands, *block)
    cases = classify_blocks(formula.pattern, pieces.queries, pieces.keys)
    rows = _cut_rows(pieces.queries, block[0], result, given)

    def column(carry: tuple, xs: tuple[_Column, Array]) -> tuple[tuple, tuple]:
        dparams, dq_views = carry
        dparams, dk_views, dv, dq_views = _add_column_cotangents(formula, pieces, dparams, dq_views, rows, *xs)
        return (dparams, dq_views), (dk_views, dv)

    start = jax.tree.map(jnp.zeros_like, (operands.params, pieces.queries.views))
    columns = (_Column(pieces.keys, pieces.values), cases.T)
    (dparams, dq_views), (dk_views, dvalues) = lax.scan(column, start, columns)
    none: Any = None  # what jax takes for the cotangent of an integer
    queries = Tokens(tuple(join(dq, T) for dq in dq_views), none, none)
    keys = Tokens(tuple(join(dk, S) for dk in dk_views), none, none)
    return Operands(dparams, queries, keys, join(dvalues, S), none, none)


def _cut_rows(queries: Tokens, size: int, result: Result, given: Result) -> _Row:
    """Cut queries, lse and cotangents into blocks; a query that sees nothing has no weight."""
    (out, lse), (dout, dlse) = result, given
    dout, sees = dout.astype(lse.dtype), lse > -jnp.inf
    shift = jnp.where(sees, dlse, 0.0) - jnp.sum(dout * out.astype(lse.dtype), axis=-1)
    return _Row(queries, *(cut(x, size, axis=2) for x in (jnp.where(sees, lse, 0.0), dout, shift)))


def _add_column_cotangents(
    formula: Formula,
    operands: Operands,
    dparams: dict,
    dq_views: tuple,
    rows: _Row,
    column: _Column,
    cases: Array,
) -> tuple:
    """Add one block of keys to `(dparams, dk, dv, dq)`, against the blocks of queries that see it.

    As in the forward pass two loops over a sorted list, and dq is added to where it stands: a stack of every block's
    share would be written anew for each block of keys, T^2 / 512 entries in all.
    """
    order, whole = jnp.argsort(-cases), jnp.sum(cases == WHOLE)
    seen = whole + jnp.sum(cases == MIXED)

    def row(step: Array, carry: tuple, *, counted: bool) -> tuple:
        number = order[step]
        shares = _compute_block_cotangents(
            formula, operands, jax.tree.map(lambda x: x[number], rows), column, counted=counted
        )
        *sums, dq_views = carry
        sums = jax.tree.map(lambda a, b: a + b.astype(a.dtype), tuple(sums), shares[:3])
        return *sums, jax.tree.map(lambda a, b: a.at[number].add(b.astype(a.dtype)), dq_views, shares[3])

    carry = (dparams, *jax.tree.map(jnp.zeros_like, (column.keys.views, column.values)), dq_views)
    carry = lax.fori_loop(0, whole, partial(row, counted=False), carry)
    return lax.fori_loop(whole, seen, partial(row, counted=True), carry)


def _compute_block_cotangents(
    formula: Formula, operands: Operands, row: _Row, column: _Column, *, counted: bool
) -> tuple:
    """Compute one block's share of dparams, dk, dv and dq."""
    s_BNTS, pull = _score_with_pullback(formula, operands, row, column)
    if counted:
        s_BNTS = add_log_counts(s_BNTS, count_block(formula, operands, row.queries, column.keys))
    p_BNTS = jnp.exp(s_BNTS - row.lse[..., None])
    dout_BKMH = _group_heads(row.dout, column.values.shape[1])
    dp_BKMS = einsum("BKMH,BKSH->BKMS", dout_BKMH, column.values)
    dp_BNTS = dp_BKMS.reshape(p_BNTS.shape)
    dv = _sum_rows(_group_heads(p_BNTS, column.values.shape[1]), dout_BKMH)
    dparams, dq, dk = pull(p_BNTS * (dp_BNTS + row.shift[..., None]))
    return dparams, dk, dv, dq


@jax.custom_vjp
def multiply_qk_with_gradient(q_BNTH: Array, k_BKSH: Array) -> Array:
    """Multiply as `multiply_qk`, with a backward pass that is faster on CPUs.

    What jax derives for dk is ds^T q, [S, M] x [M, H]; XLA on two cores makes its transpose, q^T ds, faster: dq and dk
    together 2.55 ns for each of the [M, S] entries instead of 3.05 (`benchmarks.blocks`).
    """
    return multiply_qk(q_BNTH, k_BKSH)


def _multiply_qk_forward(q_BNTH: Array, k_BKSH: Array) -> tuple[Array, tuple[Array, Array]]:
    return multiply_qk(q_BNTH, k_BKSH), (q_BNTH, k_BKSH)


def _multiply_qk_backward(saved: tuple[Array, Array], ds_BNTS: Array) -> tuple[Array, Array]:
    q_BNTH, k_BKSH = saved
    ds_BKMS = _group_heads(ds_BNTS, k_BKSH.shape[1])
    dq_BKMH = einsum("BKMS,BKSH->BKMH", ds_BKMS, k_BKSH)
    dk_BKSH = _sum_rows(ds_BKMS, _group_heads(q_BNTH, k_BKSH.shape[1]))
    return dq_BKMH.reshape(q_BNTH.shape).astype(q_BNTH.dtype), dk_BKSH.astype(k_BKSH.dtype)


multiply_qk_with_gradient.defvjp(_multiply_qk_forward, _multiply_qk_backward)


def _sum_rows(weights_BKMS: Array, rows_BKMH: Array) -> Array:
    """Return sum_m weights_ms rows_mh as [B, K, S, H]."""
    return jnp.swapaxes(einsum("BKMH,BKMS->BKHS", rows_BKMH, weights_BKMS), 2, 3)


def _score_with_pullback(
    formula: Formula, operands: Operands, row: _Row, column: _Column
) -> tuple[Array, Callable[[Array], tuple]]:
    """Return the scores of a block and the function that maps their cotangent to (params, queries, keys).

    Under an encoding with per-query keys both go group by group: each query has its scores from its own group alone.
    """

    def score(params: Params, q_views: tuple, k_views: tuple, group: Array | None) -> Array:
        queries, keys = row.queries._replace(views=q_views), column.keys._replace(views=k_views)
        return score_block(formula, operands._replace(params=params), queries, keys, group, multiply_qk_with_gradient)

    given = (operands.params, row.queries.views, column.keys.views)
    if not formula.encoding.per_query_keys:
        return jax.vjp(lambda params, q_views, k_views: score(params, q_views, k_views, None), *given)
    group_BT = formula.encoding.query_group(row.queries.pos)

    def add_scores(s_BNTS: Array, group: Array, here: Array) -> Array:
        return jnp.where(here[..., None], score(*given, group), s_BNTS)

    shape = jax.eval_shape(score, *given, group_BT[0, 0])
    s_BNTS = loop_over_groups(group_BT, jnp.zeros(shape.shape, shape.dtype), add_scores)

    def pull(ds_BNTS: Array) -> tuple:
        def add_share(sums: tuple, group: Array, here: Array) -> tuple:
            _, pull_group = jax.vjp(lambda params, q_views, k_views: score(params, q_views, k_views, group), *given)
            return jax.tree.map(jnp.add, sums, pull_group(jnp.where(here[..., None], ds_BNTS, 0.0)))

        return loop_over_groups(group_BT, jax.tree.map(jnp.zeros_like, given), add_share)

    return s_BNTS, pull


def _group_heads(x_BNTX: Array, K: int) -> Array:
    """Reshape query heads that share a key head into rows of one matrix: [B, K, N / K * T, ...]."""
    B, N, T, X = x_BNTX.shape
    return x_BNTX.reshape(B, K, N // K * T, X)
