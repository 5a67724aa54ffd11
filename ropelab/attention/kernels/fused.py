"""A fused kernel as one that evaluates the formula: its own backward pass, unless a cotangent of the lse arrives.

The kernels of jax drop the cotangent of the lse they return: partial results merged by it train with dq wrong by 23 %.
So there are two ways back,

    no cotangent of lse      the kernel's own pull-back, kept from the forward pass
    one arrives              `blockwise_gradient.cotangents`, which has the term p_ij dlse_i

and which is taken is known before anything runs: whether a result is used later is a fact of the program (jax's
symbolic zeros). A bias linear in the distance goes in as more head dimensions, `low_rank`.

What has run where: the wrapper with jax.nn's "xla" in place of cuDNN and splash in interpret mode, on CPUs, against
`dense`, forward and both ways back; the programs for a GPU and a TPU were lowered and read. **Neither machine was at
hand to run them**, so that "auto" chooses neither kernel.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

from ropelab.attention.formula import Formula, Operands, Pattern, Result, Tokens
from ropelab.attention.kernels.blockwise import blockwise, choose_block
from ropelab.attention.kernels.blockwise_gradient import compute_cotangents
from ropelab.attention.kernels.low_rank import add_bias_dimensions
from ropelab.attention.patterns.windows import SlidingWindow
from ropelab.attention.support import TILE, find_unsupported, unwrap

_Run = Callable[[Pattern, Array, Array, Array], Result]  # (out_BNTH, lse_BNT) of q_BNTH, k_BKSH and v_BKSH
_Pull = Callable[[Array], tuple[Array, Array, Array]]  # (dq, dk, dv) of dout


def cudnn(formula: Formula, operands: Operands, *, in_order: bool = False) -> Result:
    """Evaluate the formula by cuDNN's flash attention, through `jax.nn.dot_product_attention`; not yet run on a GPU.

    The lse is what the kernel keeps for its backward pass, float32. jax hands it out rounded to the values' dtype (0.03
    at 10 in bfloat16), so it is taken from the pull-back; should it not be found there, it is the rounded one, and a
    cotangent of it then has the forward pass evaluated again by `blockwise`.

    Args:
        in_order: see `refusal`, whose reasons are the errors.

    Raises:
        ValueError: where the call is not legal, with the reason.
    """
    return _evaluate_supported("cudnn", make_jax_nn("cudnn"), formula, operands, in_order)


def _evaluate_supported(name: str, run: _Run, formula: Formula, operands: Operands, in_order: bool) -> Result:
    """Return the result of a kernel, or raise `ValueError` with the reason why it does not support the call."""
    reason = find_unsupported(name, formula, operands, in_order=in_order)
    if reason:
        raise ValueError(reason)
    return fused(run, formula, operands)


def make_jax_nn(implementation: Any) -> _Run:
    """Return a kernel by `jax.nn.dot_product_attention`, for scaled views; values are padded to the width of keys."""

    def run(pattern: Pattern, q_BNTH: Array, k_BKSH: Array, v_BKSH: Array) -> Result:
        H = v_BKSH.shape[-1]
        v_BKSH = jnp.pad(v_BKSH, [(0, 0)] * 3 + [(0, k_BKSH.shape[-1] - H)])
        window = (pattern.window - 1, 0) if isinstance(pattern, SlidingWindow) else None
        out_BTNH, lse_BTN = jax.nn.dot_product_attention(
            *(jnp.swapaxes(x, 1, 2) for x in (q_BNTH, k_BKSH, v_BKSH)),
            scale=1.0,
            is_causal=pattern.causal,
            local_window_size=window,
            implementation=implementation,
            return_residual=True,
        )
        return jnp.swapaxes(out_BTNH, 1, 2)[..., :H], jnp.swapaxes(lse_BTN, 1, 2)

    return run


def _evaluate_with_pullback(run: _Run, formula: Formula, operands: Operands) -> tuple[Array, Array, _Pull]:
    """Return `(out, lse, pull)`, the lse as exact as the kernel has it."""
    slopes_N = unwrap(formula.encoding).linear_slopes(formula.num_heads)
    q_pos, k_pos = operands.queries.pos, operands.keys.pos

    def attend(q_BNTH: Array, k_BKSH: Array, v_BKSH: Array) -> Result:
        if slopes_N is not None:
            q_BNTH, k_BKSH = add_bias_dimensions(q_BNTH, k_BKSH, slopes_N, q_pos, k_pos, reach=k_pos.shape[1])
        return run(formula.pattern, q_BNTH, k_BKSH, v_BKSH)

    (q_BNTH,), (k_BKSH,) = operands.queries.views, operands.keys.views
    out, pull, lse = jax.vjp(attend, q_BNTH, k_BKSH, operands.values, has_aux=True)
    return out, _find_exact_lse(pull, lse), pull


def _find_exact_lse(pull: _Pull, lse: Array) -> Array:
    """Return the float32 lse in a pull-back if exactly one array can be it, else the returned lse."""
    found = [x for x in jax.tree.leaves(pull) if x.shape == lse.shape and x.dtype == jnp.float32]
    return found[0] if len(found) == 1 else lse


def _has_float32_precision(x: Array) -> bool:
    return jnp.finfo(x.dtype).nmant >= jnp.finfo(jnp.float32).nmant


def _widen(lse: Array) -> Array:
    return lse.astype(jnp.promote_types(lse.dtype, jnp.float32))


def evaluate(run: _Run, formula: Formula, operands: Operands) -> Result:
    out, lse, _ = _evaluate_with_pullback(run, formula, operands)
    return out, _widen(lse)


def forward(run: _Run, formula: Formula, primals: Operands) -> tuple[Result, tuple]:
    operands = jax.tree.map(lambda leaf: leaf.value, primals)
    out, lse, pull = _evaluate_with_pullback(run, formula, operands)
    return (out, _widen(lse)), (operands, (out, lse), pull)


def _backward(run: _Run, formula: Formula, saved: tuple[Operands, Result, _Pull], given: tuple) -> tuple[Operands]:
    del run
    operands, (out, lse), pull = saved
    dout, dlse = (None if isinstance(x, SymbolicZero) else x for x in given)
    dout = jnp.zeros_like(out) if dout is None else dout
    if dlse is None:
        dq, dk, dv = pull(dout)
        none: Any = None
        params = jax.tree.map(jnp.zeros_like, operands.params)
        return (Operands(params, Tokens((dq,), none, none), Tokens((dk,), none, none), dv, none, none),)
    result = (out, lse) if _has_float32_precision(lse) else blockwise(formula, operands)
    block = choose_block(operands.queries.pos.shape[1], operands.keys.pos.shape[1])
    return (compute_cotangents(formula, block, operands, result, (dout, dlse)),)


_differentiable = jax.custom_vjp(evaluate, nondiff_argnums=(0, 1))
_differentiable.defvjp(forward, _backward, symbolic_zeros=True)
fused = cast(Callable[[_Run, Formula, Operands], Result], _differentiable)


def splash(formula: Formula, operands: Operands, *, in_order: bool = False) -> Result:
    """Evaluate the formula by splash attention, jax's Pallas kernel for TPUs; it has not run on a TPU yet.

    Masks are functions of token numbers, so nothing is [T, T], and fully masked blocks are skipped. Its float32 lse
    comes from a call that saves residuals, which has no gradient; out comes from one that has. `kept_by` finds the lse
    in the pull-back of the second and prefers it; the first is dead code then and does not run.

    Tested on CPUs in interpret mode at 128 and 256 tokens, and lowered for a TPU at head dimensions 64 and 128 with and
    without ALiBi's eight more. The block sizes have not been tuned on a TPU.

    Args:
        in_order: see `refusal`, whose reasons are the errors.

    Raises:
        ValueError: where the call is not legal, with the reason.
    """
    return _evaluate_supported("splash", make_splash(interpret=False), formula, operands, in_order)


def make_splash(*, interpret: bool) -> _Run:
    """Return splash attention over the rows of a batch; `interpret` runs it anywhere, slowly."""

    def run(pattern: Pattern, q_BNTH: Array, k_BKSH: Array, v_BKSH: Array) -> Result:
        make = partial(_build_splash, pattern, q_BNTH.shape[1], q_BNTH.shape[2], interpret)
        out = jax.vmap(make(save_residuals=False))(q_BNTH, k_BKSH, v_BKSH)
        fixed = (lax.stop_gradient(x) for x in (q_BNTH, k_BKSH, v_BKSH))
        _, (lse,) = jax.vmap(make(save_residuals=True))(*fixed)
        return out, lse

    return run


def _build_splash(pattern: Pattern, N: int, T: int, interpret: bool, *, save_residuals: bool) -> Callable[..., Any]:
    """Build the kernel of q_NTH, k_KTH and v_KTH."""
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
