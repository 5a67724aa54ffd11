"""The specification: the one formula, written out over the whole [T, S] square.

    out_i = sum_j n_ij exp(s_ij) v_j / sum_j n_ij exp(s_ij),   lse_i = log sum_j n_ij exp(s_ij)

Every other kernel is tested against this one. It holds B N T S scores: on a CPU it is slower than
`blockwise` from 2048 tokens on, and at 16384 it needs 9.7 GB for nine heads.
"""

import jax.numpy as jnp
from jax import Array

from ropelab.attention.formula import Formula, Operands, Tokens, block_counts, block_scores, mean_of_values, weighted
from ropelab.encodings.scoring import query_by_query


def dense(formula: Formula, operands: Operands) -> tuple[Array, Array]:
    """`(out_BNTH, lse_BNT)`; a query that sees nothing gets 0 and -inf.

    Under a framed encoding each query is a square of its own, in its own frame.
    """
    if not formula.encoding.framed:
        return square(formula, operands)
    if operands.queries.pos.size == 1:
        return square(formula, operands, formula.encoding.frame_of(operands.queries.pos)[0, 0])

    def one(query: Tokens, row: tuple[Tokens, Array]) -> tuple[Array, Array]:
        frame = formula.encoding.frame_of(query.pos)[0, 0]
        keys, values = row
        keys = keys._replace(views=head_major(keys.views))
        own = operands._replace(
            queries=query._replace(views=head_major(query.views)), keys=keys, values=jnp.swapaxes(values, 1, 2)
        )
        out_BNTH, lse_BNT = square(formula, own, frame)
        return out_BNTH[0, :, 0], lse_BNT[0, :, 0]

    queries, keys = (t._replace(views=head_major(t.views)) for t in (operands.queries, operands.keys))
    out_BTNH, lse_BTN = query_by_query(one, queries, (keys, jnp.swapaxes(operands.values, 1, 2)))
    return jnp.swapaxes(out_BTNH, 1, 2), jnp.swapaxes(lse_BTN, 1, 2)


def head_major(views: tuple[Array, ...]) -> tuple[Array, ...]:
    """[B, T, N, H] ⇄ [B, N, T, H]."""
    return tuple(jnp.swapaxes(view, 1, 2) for view in views)


def square(formula: Formula, operands: Operands, frame: Array | None = None) -> tuple[Array, Array]:
    """All queries against all keys at once."""
    s_BNTS = block_scores(formula, operands, operands.queries, operands.keys, frame)
    s_BNTS = weighted(s_BNTS, block_counts(formula, operands, operands.queries, operands.keys))
    top_BNT = jnp.max(s_BNTS, axis=-1)
    sees_BNT = top_BNT > -jnp.inf
    top_BNT = jnp.where(sees_BNT, top_BNT, 0.0)
    p_BNTS = jnp.exp(s_BNTS - top_BNT[..., None])
    total_BNT = jnp.where(sees_BNT, jnp.sum(p_BNTS, axis=-1), 1.0)
    out_BNTH = mean_of_values(p_BNTS / total_BNT[..., None], operands.values)
    lse_BNT = jnp.where(sees_BNT, top_BNT + jnp.log(total_BNT), -jnp.inf)
    return out_BNTH.astype(operands.values.dtype), lse_BNT
