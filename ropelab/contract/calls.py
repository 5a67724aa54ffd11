"""Attention as the properties call it: compiled once for each encoding, pattern and kernel."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from ropelab.attention import Pattern, attend
from ropelab.attention.kernels.blockwise import blockwise
from ropelab.attention.kernels.dense import dense
from ropelab.attention.registry import Kernel
from ropelab.contract.samples import N, Numbers
from ropelab.encodings import Encoding
from ropelab.encodings.base import Params
from ropelab.xla_flags import select_options

Arrays = tuple[Numbers, ...]

# Blocks of 8 x 5 cut 21 tokens unevenly on both sides: several blocks, ragged ends, a diagonal inside the blocks.
KERNELS: dict[str, Kernel] = {"dense": dense, "blockwise": partial(blockwise, block=(8, 5))}


class TokenPositions(NamedTuple):
    """Positions, segments and heads of a call, with the argument names of `attend`."""

    q_pos: Numbers | None = None
    k_pos: Numbers | None = None
    segments: Numbers | None = None
    length: Array | int | None = None
    heads: Numbers | None = None


def make_positions(
    pos_BT: np.ndarray, segments_BT: np.ndarray | None = None, *, length: int, heads: Numbers = range(N)
) -> TokenPositions:
    """Return the positions of self-attention, all tokens in one document unless segments are passed."""
    pos_BT = np.asarray(pos_BT, np.int32)
    segments_BT = np.zeros_like(pos_BT) if segments_BT is None else np.asarray(segments_BT, np.int32)
    return TokenPositions(pos_BT, pos_BT, segments_BT, length, np.asarray(heads, np.int32))


def run_attention(
    encoding: Encoding,
    pattern: Pattern,
    kernel: Kernel,
    params: Params,
    qkv: Arrays,
    placement: TokenPositions = TokenPositions(),  # noqa: B008
    num_heads: int = N,
) -> tuple[Array, Array]:
    """Call `attend` with its static arguments first."""
    where = placement._asdict()
    return attend(*qkv, encoding=encoding, pattern=pattern, params=params, kernel=kernel, num_heads=num_heads, **where)


# Compiles faster, and as exactly. (Level 0 gives NaN gradients for KERPLE on jax 0.10.2.)
_FAST_COMPILATION = select_options({"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False})
fast_jit = partial(jax.jit, compiler_options=_FAST_COMPILATION)
run_compiled = fast_jit(run_attention, static_argnums=(0, 1, 2))


@partial(fast_jit, static_argnums=(0, 1, 2))
def run_with_gradients(
    encoding: Encoding,
    pattern: Pattern,
    kernel: Kernel,
    params: Params,
    qkv: Arrays,
    placement: TokenPositions,
    cotangents: tuple[Array, Array],
) -> tuple[tuple[Array, Array], Params, Arrays]:
    """Return `((out, lse), dparams, (dq, dk, dv))` for the cotangents of out and lse."""
    results, pull = jax.vjp(lambda p, x: run_attention(encoding, pattern, kernel, p, x, placement), params, qkv)
    return results, *pull(cotangents)


def run_forward(
    encoding: Encoding, pattern: Pattern, kernel: Kernel, params: Params, qkv: Arrays, placement: TokenPositions
) -> tuple[Array, Array]:
    """Return `(out, lse)` from the program that `run_with_gradients` compiled."""
    nothing = np.zeros_like(qkv[0]), np.zeros_like(qkv[0][..., 0])
    return run_with_gradients(encoding, pattern, kernel, params, qkv, placement, nothing)[0]
