"""Pattern × encoding × kernel: each against the one formula, written out over the whole square.

A kernel gets the tokens at explicit positions, so that it goes by the counts alone. "arranged" is what a pattern makes
of tokens that stand in order: several calls of the blockwise kernel, put together again.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ropelab.attention import Pattern
from ropelab.contract.calls import KERNELS, Arrays, TokenPositions, fast_jit, run_attention
from ropelab.contract.kernels import sample_cotangents
from ropelab.contract.samples import K, N, T, sample_params, sample_qkv
from ropelab.encodings import Encoding, scores
from ropelab.encodings.base import Params

ARRANGED = "arranged"
_WAYS = (*KERNELS, ARRANGED)
_LENGTH = 8 * T  # of the context that the tokens stand in


def _evaluate_formula(encoding: Encoding, params: Params, qkv: Arrays, n_NTS: Array) -> tuple[Array, Array]:
    """`(out_BTNH, lse_BTN)`: softmax of s + log n, the pattern's counts and the encoding's scores and nothing else."""
    q, k, v = qkv
    pos, seen_NTS = jnp.arange(T), n_NTS > 0
    s_BNTS = scores(encoding, q, k, pos, pos, params=params, length=_LENGTH, visible=seen_NTS[None])
    top = lax.stop_gradient(jnp.max(jnp.where(seen_NTS, s_BNTS, -jnp.inf), axis=-1, keepdims=True))
    top = jnp.where(top > -jnp.inf, top, 0)
    weights = jnp.where(seen_NTS, n_NTS * jnp.exp(jnp.where(seen_NTS, s_BNTS - top, 0)), 0)
    total = jnp.sum(weights, axis=-1)
    safe = jnp.where(total > 0, total, 1)
    v_BSNH = jnp.repeat(v, N // v.shape[2], axis=2)
    out_BTNH = jnp.einsum("BNTS,BSNH->BTNH", weights / safe[..., None], v_BSNH)
    lse_BNT = jnp.where(total > 0, top[..., 0] + jnp.log(safe), -jnp.inf)
    return out_BTNH, jnp.swapaxes(lse_BNT, 1, 2)


def _evaluate_counts(pattern: Pattern) -> np.ndarray:
    """n_NTS of tokens in order."""
    pos, head = jnp.arange(T), jnp.arange(N)[:, None, None]
    return np.broadcast_to(pattern.counts(pos[:, None], pos[None, :], head, N), (N, T, T))


def evaluate(way: str, encoding: Encoding, pattern: Pattern, params: Params, qkv: Arrays) -> tuple[Array, Array]:
    """`(out, lse)` by one of `WAYS`."""
    if way == ARRANGED:
        return run_attention(encoding, pattern, KERNELS["blockwise"], params, qkv, TokenPositions(length=_LENGTH))
    pos = np.broadcast_to(np.arange(T, dtype=np.int32), qkv[0].shape[:2])
    return run_attention(encoding, pattern, KERNELS[way], params, qkv, TokenPositions(pos, pos, length=_LENGTH))


@partial(fast_jit, static_argnums=(0, 1, 2))
def _evaluate_with_gradients(
    way: str, encoding: Encoding, pattern: Pattern, params: Params, qkv: Arrays, given: Arrays
) -> Any:
    """`((out, lse), dparams, (dq, dk, dv))` for the cotangents given of out and of lse."""
    return _differentiate(lambda p, x: evaluate(way, encoding, pattern, p, x), params, qkv, given)


@partial(fast_jit, static_argnums=0)
def _evaluate_reference(encoding: Encoding, params: Params, qkv: Arrays, given: Arrays, n_NTS: Array) -> Any:
    """As `with_gradients`, from the formula written out: one program for all patterns."""
    return _differentiate(lambda p, x: _evaluate_formula(encoding, p, x, n_NTS), params, qkv, given)


def _differentiate(function: Callable[..., tuple[Array, Array]], params: Params, qkv: Arrays, given: Arrays) -> Any:
    (out, lse), pull = jax.vjp(function, params, qkv)
    dout, dlse = given
    return (out, lse), *pull((dout, jnp.where(lse > -jnp.inf, dlse, 0)))


def errors(encoding: Encoding, pattern: Pattern, dtype: Any = np.float32) -> dict[str, float]:
    """For each of `WAYS` the largest difference from the formula written out, forward and backward.

    Each array is measured by its largest entry, or by 1 if that is smaller. A pattern that arranges nothing has no
    entry for "arranged".
    """
    given = jax.tree.map(lambda x: np.asarray(x, dtype), (sample_params(encoding), sample_qkv(), sample_cotangents()))
    expected = _evaluate_reference(encoding, *given, _evaluate_counts(pattern).astype(dtype))
    results = {way: _evaluate_with_gradients(way, encoding, pattern, *given) for way in _list_ways(pattern)}
    return {way: _max_difference(result, expected) for way, result in results.items()}


def _list_ways(pattern: Pattern) -> list[str]:
    return [way for way in _WAYS if way != ARRANGED or type(pattern).attend is not Pattern.attend]


def reads_what_it_counts(encoding: Encoding, pattern: Pattern) -> None:
    """A value reaches a query exactly where the count is not zero, one query at a time, by gradient: exact zeros.

    Raises:
        AssertionError: with the first query that reads something else, and the way to compute it.
    """
    params, qkv, (dout, dlse) = sample_params(encoding), sample_qkv(), sample_cotangents()
    seen_KTS = np.any(_evaluate_counts(pattern).reshape(K, N // K, T, T) > 0, axis=1)
    for way in _list_ways(pattern):
        for t in range(T):
            alone = np.arange(T) == t
            given = dout * alone[:, None, None], dlse * alone[:, None]
            dq, dk, dv = map(np.asarray, _evaluate_with_gradients(way, encoding, pattern, params, qkv, given)[2])
            where = f"query {t}, {encoding}, {pattern}, {way}"
            assert np.array_equal(np.any(dv, axis=(0, 3)).T, seen_KTS[:, t]), (
                f"reads other keys than it counts: {where}"
            )
            assert not np.any(dk, axis=(0, 3)).T[~seen_KTS[:, t]].any(), f"depends on hidden keys: {where}"
            assert not np.delete(dq, t, axis=1).any(), f"depends on other queries: {where}"


def sees_no_future(encoding: Encoding, pattern: Pattern) -> None:
    """Whatever later tokens hold, earlier outputs are the same bits.

    Raises:
        AssertionError: with the position from which later tokens were changed, and the way to compute it.
    """
    params, qkv, given = sample_params(encoding), sample_qkv(), sample_cotangents()
    for way in _list_ways(pattern):
        whole = _evaluate_with_gradients(way, encoding, pattern, params, qkv, given)[0]
        for t in (1, T // 2, T - 1):
            changed = tuple(np.concatenate([x[:, :t], 7 - 3 * x[:, t:]], axis=1) for x in qkv)
            found = _evaluate_with_gradients(way, encoding, pattern, params, changed, given)[0]
            same = all(np.array_equal(a[:, :t], b[:, :t]) for a, b in zip(found, whole, strict=True))
            assert same, f"queries before {t} depend on tokens from {t} on: {encoding}, {pattern}, {way}"


def _max_difference(found: Any, expected: Any) -> float:
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    return max(difference(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in pairs)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """inf unless both are infinite in the same places and NaN nowhere."""
    finite = np.isfinite(b)
    if np.isnan(a).any() or np.isnan(b).any() or not np.array_equal(a[~finite], b[~finite]):
        return float("inf")
    return float(np.abs(a[finite] - b[finite]).max(initial=0) / max(1.0, np.abs(b[finite]).max(initial=0)))
