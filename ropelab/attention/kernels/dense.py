"""The specification: the one formula, written out over the whole [T, S] square.

    out_i = sum_j n_ij exp(s_ij) v_j / sum_j n_ij exp(s_ij),   lse_i = log sum_j n_ij exp(s_ij)

Every other kernel is tested against this one. It holds B N T S scores: on a CPU it is slower than
`blockwise` from 2048 tokens on, and at 16384 it needs 9.7 GB for nine heads.
"""

import jax.numpy as jnp
from jax import Array

from ropelab.attention.formula import (
    Formula,
    Operands,
    Tokens,
    add_log_counts,
    average_values,
    count_block,
    score_block,
)
from ropelab.encodings.scoring import map_queries


def dense(formula: Formula, operands: Operands) -> tuple[Array, Array]:
    """Compute `(out_BNTH, lse_BNT)` over the whole square; a query that sees nothing gets 0 and -inf.

    With per-query keys, each query is evaluated separately, under its own group.
    """
    if not formula.encoding.per_query_keys:
        return _evaluate_square(formula, operands)
    if operands.queries.pos.size == 1:
        return _evaluate_square(formula, operands, formula.encoding.query_group(operands.queries.pos)[0, 0])

    def one(query: Tokens, row: tuple[Tokens, Array]) -> tuple[Array, Array]:
        group = formula.encoding.query_group(query.pos)[0, 0]
        keys, values = row
        keys = keys._replace(views=_swap_head_axis(keys.views))
        own = operands._replace(
            queries=query._replace(views=_swap_head_axis(query.views)), keys=keys, values=jnp.swapaxes(values, 1, 2)
        )
        out_BNTH, lse_BNT = _evaluate_square(formula, own, group)
        return out_BNTH[0, :, 0], lse_BNT[0, :, 0]

    queries, keys = (t._replace(views=_swap_head_axis(t.views)) for t in (operands.queries, operands.keys))
    out_BTNH, lse_BTN = map_queries(one, queries, (keys, jnp.swapaxes(operands.values, 1, 2)))
    return jnp.swapaxes(out_BTNH, 1, 2), jnp.swapaxes(lse_BTN, 1, 2)


def _swap_head_axis(views: tuple[Array, ...]) -> tuple[Array, ...]:
    """Swap [B, T, N, H] and [B, N, T, H]."""
    return tuple(jnp.swapaxes(view, 1, 2) for view in views)


def _evaluate_square(formula: Formula, operands: Operands, group: Array | None = None) -> tuple[Array, Array]:
    """Evaluate all queries against all keys at once."""
    s_BNTS = score_block(formula, operands, operands.queries, operands.keys, group)
    s_BNTS = add_log_counts(s_BNTS, count_block(formula, operands, operands.queries, operands.keys))
    top_BNT = jnp.max(s_BNTS, axis=-1)
    sees_BNT = top_BNT > -jnp.inf
    top_BNT = jnp.where(sees_BNT, top_BNT, 0.0)
    p_BNTS = jnp.exp(s_BNTS - top_BNT[..., None])
    total_BNT = jnp.where(sees_BNT, jnp.sum(p_BNTS, axis=-1), 1.0)
    out_BNTH = average_values(p_BNTS / total_BNT[..., None], operands.values)
    lse_BNT = jnp.where(sees_BNT, top_BNT + jnp.log(total_BNT), -jnp.inf)
    return out_BNTH.astype(operands.values.dtype), lse_BNT
