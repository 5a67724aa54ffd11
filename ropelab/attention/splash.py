"""Splash attention, the TPU kernel of jax's Pallas, as a kernel of the formula.

Blocks that a mask hides are left out, and masks are functions of token numbers, so nothing is [T, T]. Its lse is
float32 and comes from a call that saves residuals, which has no gradient; out comes from one that has. `fused` finds
the lse in that one's pull-back too and prefers it, and the other call is dead code then and does not run.

Run on CPUs in interpret mode at 128 and 256 tokens only, and lowered for a TPU at head dimensions 64 and 128 with and
without ALiBi's eight more; block sizes are guesses that no TPU has judged.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax import Array, lax

from ropelab.attention.blocks import Formula, Operands, Result
from ropelab.attention.fused import Run, legal
from ropelab.attention.legality import TILE
from ropelab.attention.pattern import Pattern
from ropelab.attention.patterns.windows import SlidingWindow


def splash(formula: Formula, operands: Operands, *, in_order: bool = False) -> Result:
    """Splash attention; never run yet where it is at home.

    Args:
        in_order: see `refusal`, whose reasons are the errors.

    Raises:
        ValueError: where the call is not legal, with the reason.
    """
    return legal("splash", by_splash(interpret=False), formula, operands, in_order)


def by_splash(*, interpret: bool) -> Run:
    """Splash over the rows of a batch; interpreted, it runs anywhere and slowly."""

    def run(pattern: Pattern, q_BNTH: Array, k_BKSH: Array, v_BKSH: Array) -> Result:
        make = partial(made, pattern, q_BNTH.shape[1], q_BNTH.shape[2], interpret)
        out = jax.vmap(make(save_residuals=False))(q_BNTH, k_BKSH, v_BKSH)
        fixed = (lax.stop_gradient(x) for x in (q_BNTH, k_BKSH, v_BKSH))
        _, (lse,) = jax.vmap(make(save_residuals=True))(*fixed)
        return out, lse

    return run


def made(pattern: Pattern, N: int, T: int, interpret: bool, *, save_residuals: bool) -> Callable[..., Any]:
    """The kernel of q_NTH, k_KTH and v_KTH."""
    from jax.experimental.pallas.ops.tpu import splash_attention as pallas  # imports Mosaic: not for everyone

    if isinstance(pattern, SlidingWindow):
        mask = pallas.LocalMask((T, T), (pattern.window - 1, 0), offset=0)
    else:
        mask = (pallas.CausalMask if pattern.causal else pallas.FullMask)((T, T))
    size = next(size for size in (4 * TILE, 2 * TILE, TILE) if T % size == 0)
    blocks = pallas.BlockSizes(
        block_q=size,
        block_kv=size,
        block_q_dkv=size,
        block_kv_dkv=size,
        block_q_dq=size,
        block_kv_dq=size,
    )
    return pallas.make_splash_mha(
        pallas.MultiHeadMask([mask] * N),
        head_shards=1,
        q_seq_shards=1,
        block_sizes=blocks,
        save_residuals=save_residuals,
        interpret=interpret,
    )
