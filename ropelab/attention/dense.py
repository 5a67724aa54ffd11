"""The specification: the one formula, written out over the whole [T, S] square.

    out_i = sum_j n_ij exp(s_ij) v_j / sum_j n_ij exp(s_ij),   lse_i = log sum_j n_ij exp(s_ij)

Every other kernel is tested against this one. It holds B N T S scores: on a CPU it is slower than
`blockwise` from 2048 tokens on, and at 16384 it needs 9.7 GB for nine heads.
"""

import jax.numpy as jnp
from jax import Array

from ropelab.attention.blocks import Formula, Operands, block_counts, block_scores, mean_of_values, weighted


def dense(formula: Formula, operands: Operands) -> tuple[Array, Array]:
    """`(out_BNTH, lse_BNT)`; a query that sees nothing gets 0 and -inf."""
    s_BNTS = block_scores(formula, operands, operands.queries, operands.keys)
    s_BNTS = weighted(s_BNTS, block_counts(formula, operands, operands.queries, operands.keys))
    top_BNT = jnp.max(s_BNTS, axis=-1)
    sees_BNT = top_BNT > -jnp.inf
    top_BNT = jnp.where(sees_BNT, top_BNT, 0.0)
    p_BNTS = jnp.exp(s_BNTS - top_BNT[..., None])
    total_BNT = jnp.where(sees_BNT, jnp.sum(p_BNTS, axis=-1), 1.0)
    out_BNTH = mean_of_values(p_BNTS / total_BNT[..., None], operands.values)
    lse_BNT = jnp.where(sees_BNT, top_BNT + jnp.log(total_BNT), -jnp.inf)
    return out_BNTH.astype(operands.values.dtype), lse_BNT
