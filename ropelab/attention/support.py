"""Attention calls that a fused kernel supports: the reason against a call, with the remedy, or None.

Fused kernels count tokens from 0 and add no bias. They support one view, a causal, windowed or full softmax, and a bias
linear in the distance, written as more head dimensions (`low_rank`). `blockwise` supports everything else, and every
reason ends with the remedy or with that kernel.
"""

import inspect

import jax
import jax.numpy as jnp

from ropelab.attention.formula import Formula, Operands
from ropelab.attention.kernels.low_rank import MAX_POSITIONS, count_bias_dimensions
from ropelab.attention.patterns.causal import Bidirectional, Causal
from ropelab.attention.patterns.windows import SlidingWindow
from ropelab.encodings.base import Encoding
from ropelab.encodings.query_scaling import QueryScaled

_PLATFORM = {"cudnn": "gpu", "splash": "tpu"}
_FALLBACK_HINT = 'kernel="blockwise" takes it'
TILE = 128  # splash cuts queries and keys into multiples of this
_MAX_HEAD_DIM = {True: 256, False: 128}  # head dimensions of cuDNN, from Hopper on and before


def find_unsupported(
    name: str,
    formula: Formula,
    operands: Operands,
    *,
    in_order: bool,
    backend: str | None = None,
    hopper: bool | None = None,
) -> str | None:
    """Return why the kernel of this name cannot evaluate this call, or None if it can.

    Args:
        in_order: whether queries and keys are the same tokens, token t at position t, under all heads of the model, and
            none were picked from among them. Positions are arrays, so that nobody can read this off them.
        backend: "gpu", "tpu" or "cpu"; jax's own if not given.
        hopper: whether the GPU is of compute capability 9.0 or more; asked of the device if not given.

    Raises:
        ValueError: for a name of no fused kernel.
    """
    if name not in _PLATFORM:
        raise ValueError(f"unknown fused kernel {name!r}; there are {', '.join(_PLATFORM)}")
    of_machine = _unsupported_platform(name, backend or jax.default_backend())
    of_call = _unsupported_layout(operands, in_order) or _unsupported_scores(formula, operands)
    reason = (
        of_machine
        or of_call
        or (_unsupported_by_cudnn(formula, operands, hopper) if name == "cudnn" else _unsupported_by_splash(operands))
    )
    return None if reason is None else f"kernel={name!r}: {reason}"


def _unsupported_platform(name: str, backend: str) -> str | None:
    """Return why the device or jax cannot run the kernel, or None."""
    if backend not in (_PLATFORM[name], {"gpu": "cuda"}.get(_PLATFORM[name])):
        return f"it runs on a {_PLATFORM[name].upper()}, and jax is on {backend}; {_FALLBACK_HINT}"
    if name == "cudnn" and "return_residual" not in inspect.signature(jax.nn.dot_product_attention).parameters:
        return (
            f"jax.nn.dot_product_attention of jax {jax.__version__} returns no log-sum-exp; "
            f"install jax>=0.10.2, or {_FALLBACK_HINT}"
        )
    return None


def _unsupported_layout(operands: Operands, in_order: bool) -> str | None:
    """Return why the layout of the tokens is not supported, or None."""
    T, S = operands.queries.pos.shape[1], operands.keys.pos.shape[1]
    if operands.queries.segments is not None or operands.keys.segments is not None:
        return f"it does not support documents packed with segments=; put each into its own row, or {_FALLBACK_HINT}"
    if not in_order or T != S:
        return (
            f"it counts tokens from 0, and these {T} queries and {S} keys are not known to be the same tokens, each at "
            f"the position of its number; leave q_pos=, k_pos= and heads= out where they are, or {_FALLBACK_HINT}"
        )
    return None


def _unsupported_scores(formula: Formula, operands: Operands) -> str | None:
    """Return why the encoding or the pattern is not supported, or None."""
    encoding, pattern, views = formula.encoding, formula.pattern, len(operands.queries.views)
    if encoding.needs_full_rows:
        return f"a score of {encoding!r} depends on the other keys of its query; {_FALLBACK_HINT}"
    if encoding.per_query_keys:
        return f"{encoding!r} encodes keys differently for different queries; {_FALLBACK_HINT}"
    if views != 1:
        return f"{encoding!r} chooses among {views} products for each pair; {_FALLBACK_HINT}"
    if type(pattern) not in (Causal, Bidirectional, SlidingWindow):
        return f"of patterns it knows Causal, SlidingWindow and Bidirectional, not {pattern!r}; {_FALLBACK_HINT}"
    return _unsupported_bias(formula, operands)


def _unsupported_bias(formula: Formula, operands: Operands) -> str | None:
    """Return why the bias on the scores is not supported, or None."""
    encoding, T = formula.encoding, operands.queries.pos.shape[1]
    plain = unwrap(encoding)
    if type(plain).combine is Encoding.combine:
        return None
    if plain.linear_slopes(formula.num_heads) is None:
        if jax.tree.leaves(operands.params):
            return f"the bias of {encoding!r} is learned, and it would have no gradient; {_FALLBACK_HINT}"
        return f"the bias of {encoding!r} is not linear in the distance, and it takes no other; {_FALLBACK_HINT}"
    if not formula.pattern.causal:
        return (
            f"-m |i - j| of {encoding!r} has low rank for j <= i only, not under {formula.pattern!r}; " + _FALLBACK_HINT
        )
    if operands.values.dtype == jnp.float16:
        return f"the slopes of {encoding!r} times powers of 256 overflow float16; use bfloat16, or {_FALLBACK_HINT}"
    if T > MAX_POSITIONS:
        return f"the bias of {encoding!r} is written in digits for {MAX_POSITIONS} positions, not {T}; {_FALLBACK_HINT}"
    return None


def _unsupported_by_cudnn(formula: Formula, operands: Operands, hopper: bool | None) -> str | None:
    """Return why cuDNN does not support the dtypes or head dimensions, or None."""
    q_BNTH, k_BKSH, v = operands.queries.views[0], operands.keys.views[0], operands.values
    dtypes = [str(x.dtype) for x in (q_BNTH, k_BKSH, v)]
    if len(set(dtypes)) > 1 or dtypes[0] not in ("bfloat16", "float16"):
        given = ", ".join(dict.fromkeys(dtypes))
        return (
            f"queries, keys and values must all be bfloat16 or all float16, not {given}; cast them, or {_FALLBACK_HINT}"
        )
    more = _count_more_dimensions(formula, operands)
    H, widest = q_BNTH.shape[-1] + more, _MAX_HEAD_DIM[_is_hopper() if hopper is None else hopper]
    if H % 8 or widest < H or v.shape[-1] > H:
        with_bias = f", {more} of them for the bias," if more else ""
        return (
            f"head dimension {H}{with_bias} must be a multiple of 8 and at most {widest} on this GPU; {_FALLBACK_HINT}"
        )
    return None


def _unsupported_by_splash(operands: Operands) -> str | None:
    T = operands.queries.pos.shape[1]
    return f"{T} tokens are not a multiple of {TILE}; pad the text, or {_FALLBACK_HINT}" if T % TILE else None


def _count_more_dimensions(formula: Formula, operands: Operands) -> int:
    """Count the head dimensions that the bias takes."""
    slopes = unwrap(formula.encoding).linear_slopes(formula.num_heads)
    return 0 if slopes is None else count_bias_dimensions(slopes, operands.keys.pos.shape[1])


def unwrap(encoding: Encoding) -> Encoding:
    """Return the encoding whose `combine` applies: a wrapper that multiplies queries adds nothing to scores."""
    while isinstance(encoding, QueryScaled) and type(encoding).combine is QueryScaled.combine:
        encoding = encoding.inner
    return encoding


def _is_hopper() -> bool:
    """Return whether the first GPU has compute capability 9.0 or more; False without a GPU."""
    if jax.default_backend() != "gpu":
        return False
    major, _, _ = str(getattr(jax.devices()[0], "compute_capability", "0")).partition(".")
    return int(major) >= 9
