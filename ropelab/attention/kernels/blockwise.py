"""The portable kernel: online softmax over blocks of keys in O(T) memory; fully masked blocks are skipped.

For each block of queries, over blocks of keys, with running maximum m, sum l and mean o:

    m' = max(m, max_j s_ij),  p_ij = exp(s_ij - m'),  l' = e^(m-m') l + sum_j p_ij,  o' = e^(m-m') o + sum_j p_ij v_j

Sources: Rabe and Staats, arXiv 2112.05682; FlashAttention-2, arXiv 2307.08691.
"""

from collections.abc import Callable
from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
from jax import Array, lax

from ropelab.attention.formula import (
    Formula,
    Operands,
    Result,
    Tokens,
    add_log_counts,
    average_values,
    count_block,
    score_block,
)
from ropelab.attention.kernels.blocking import MIXED, WHOLE, classify_blocks, cut_operands, join, loop_over_groups
from ropelab.attention.kernels.blockwise_gradient import compute_cotangents

ROW_SCORES = 2**18  # scores of a head held at once where a block takes all keys
_LOWEST = -1e30  # the running maximum before any key: finite, so that exp(m - m') is 1 and not NaN

_Block = tuple[int, int]
Sums = tuple[Array, Array, Array]


def blockwise(formula: Formula, operands: Operands, block: _Block | None = None) -> Result:
    """Compute `(out_BNTH, lse_BNT)` block by block; a query that sees nothing gets 0 and -inf.

    Args:
        block: queries and keys per block; by default the fastest on a CPU.
    """
    T, S = operands.queries.pos.shape[1], operands.keys.pos.shape[1]
    rows, columns = block or choose_block(T, S)
    if formula.encoding.needs_full_rows:
        rows, columns = min(rows, max(1, ROW_SCORES // S)), S
    return _online_softmax(formula, (rows, columns), operands)


def choose_block(T: int, S: int) -> tuple[int, int]:
    """Return the queries and keys per block, chosen for two CPU cores.

    512 queries keep the matrix products large, and 256 keys keep the probabilities of eight heads at 4 MB: 4096 tokens
    take 250 ms, 274 with 512 x 512, 315 with 256 x 512, 403 with 256 x 256 (`benchmarks.blocks`).
    """
    return min(512, T), min(256, S)


def _scan_query_blocks(formula: Formula, block: _Block, operands: Operands) -> Result:
    """Evaluate all blocks of queries in turn."""
    T = operands.queries.pos.shape[1]
    operands = cut_operands(operands, *block)
    cases = classify_blocks(formula.pattern, operands.queries, operands.keys)

    attend = _attend_groups if formula.encoding.per_query_keys else _attend_block
    out, lse = lax.scan(partial(attend, formula, operands), None, (operands.queries, cases))[1]
    return join(out, T), join(lse, T)


def _attend_groups(
    formula: Formula, operands: Operands, carry: None, xs: tuple[Tokens, Array]
) -> tuple[None, tuple[Array, Array]]:
    """Scan body: one block of queries, one pass per key group among them."""
    queries, _ = xs
    B, N, T, _ = queries.views[0].shape
    lse_dtype = jnp.promote_types(queries.views[0].dtype, jnp.float32)
    nothing = jnp.zeros((B, N, T, operands.values.shape[-1]), operands.values.dtype), jnp.zeros((B, N, T), lse_dtype)

    def step(kept: tuple[Array, Array], group: Array, here: Array) -> tuple[Array, Array]:
        _, (out, lse) = _attend_block(formula, operands, carry, xs, group)
        return jnp.where(here[..., None], out, kept[0]), jnp.where(here, lse, kept[1])

    return carry, loop_over_groups(formula.encoding.query_group(queries.pos), nothing, step)


def _attend_block(
    formula: Formula, operands: Operands, carry: None, xs: tuple[Tokens, Array], group: Array | None = None
) -> tuple[None, tuple[Array, Array]]:
    """Scan body: one block of queries against the blocks of keys that it sees, first those without masked pairs.

    There are two loops over a sorted list of blocks and no branch inside: a branch would copy the running mean at each
    block.
    """
    queries, cases = xs
    B, N, T, _ = queries.views[0].shape
    dtype = jnp.promote_types(queries.views[0].dtype, jnp.float32)
    order, whole = jnp.argsort(-cases), jnp.sum(cases == WHOLE)
    seen = whole + jnp.sum(cases == MIXED)

    def add_block(step: Array, sums: Sums, *, counted: bool) -> Sums:
        """Add one block of keys to the running maximum, sum and mean."""
        top, total, mean = sums
        keys, v_BKSH = jax.tree.map(lambda x: x[order[step]], (operands.keys, operands.values))
        s_BNTS = score_block(formula, operands, queries, keys, group)
        if counted:
            s_BNTS = add_log_counts(s_BNTS, count_block(formula, operands, queries, keys))
        higher = jnp.maximum(top, jnp.max(s_BNTS, axis=-1))
        p_BNTS, kept = jnp.exp(s_BNTS - higher[..., None]), jnp.exp(top - higher)
        mean = kept[..., None] * mean + average_values(p_BNTS, v_BKSH)
        return higher, kept * total + jnp.sum(p_BNTS, axis=-1), mean

    sums = (
        jnp.full((B, N, T), _LOWEST, dtype),
        jnp.zeros((B, N, T), dtype),
        jnp.zeros((B, N, T, operands.values.shape[-1]), dtype),
    )
    sums = lax.fori_loop(0, whole, partial(add_block, counted=False), sums)
    top, total, mean = lax.fori_loop(whole, seen, partial(add_block, counted=True), sums)
    sees = total > 0
    total = jnp.where(sees, total, 1.0)
    out = (mean / total[..., None]).astype(operands.values.dtype)
    return carry, (out, jnp.where(sees, top + jnp.log(total), -jnp.inf))


def forward(formula: Formula, block: _Block, operands: Operands) -> tuple[Result, tuple[Operands, Result]]:
    result = _scan_query_blocks(formula, block, operands)
    return result, (operands, result)


def _backward(formula: Formula, block: _Block, saved: tuple[Operands, Result], given: Result) -> tuple[Operands]:
    return (compute_cotangents(formula, block, *saved, given),)


_differentiable = jax.custom_vjp(_scan_query_blocks, nondiff_argnums=(0, 1))
_differentiable.defvjp(forward, _backward)
_online_softmax = cast(Callable[[Formula, _Block, Operands], Result], _differentiable)
