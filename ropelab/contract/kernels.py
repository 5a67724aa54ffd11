"""Any encoding works with any pattern on any kernel: values, gradients, causality, reach and head shards."""

import jax
import jax.numpy as jnp
import numpy as np

from ropelab.attention import Pattern
from ropelab.contract.calls import KERNELS, make_positions, run_compiled, run_forward, run_with_gradients
from ropelab.contract.samples import PATTERNS, B, H, K, N, T, assert_same, sample_params, sample_qkv
from ropelab.encodings import Encoding


def blockwise_equals_dense(encoding: Encoding) -> None:
    """Out, lse and every gradient, learned tables included, with cotangents on both results.

    A bias counted from the start of a block, a lost maximum and a dropped cotangent of lse fail here.
    """
    for pattern in PATTERNS:
        reference, tested = (_compute_gradients(encoding, pattern, name, sample_cotangents()) for name in KERNELS)
        for (path, a), (_, b) in zip(*map(jax.tree_util.tree_leaves_with_path, (tested, reference)), strict=True):
            what = _NAMES.get(jax.tree_util.keystr(path), f"the gradient of {jax.tree_util.keystr(path)}")
            assert np.isfinite(b).all(), f"{what} is not finite for {encoding}, {pattern}"
            assert_same(a, b, 2e-5, f"{what} of blockwise against dense, {encoding}, {pattern}")


def no_query_sees_the_future(encoding: Encoding) -> None:
    """Nothing of a token reaches a query that stands before it: gradients are exactly zero, not small."""
    pos = scattered_positions()
    for pattern in PATTERNS:
        for name in KERNELS:
            for at in np.sort(pos[0])[[0, T // 2, T - 2]]:
                early = (pos <= at)[:, :, None]
                dout, dlse = sample_cotangents()
                given = dout * early[..., None], dlse * early
                for x, gradient in zip("qkv", _compute_gradients(encoding, pattern, name, given)[2], strict=True):
                    late = np.asarray(gradient)[pos > at]
                    where = f"{encoding}, {pattern}, {name}"
                    assert not late.any(), f"queries up to position {at} depend on a later token's {x}: {where}"


def the_receptive_field_is_the_counts(encoding: Encoding) -> None:
    """A value reaches a query exactly where the pattern's count is not zero, and each query reads itself alone.

    Measured by gradient, one query at a time, so that a kernel that shifts its output or skips a block is seen.
    """
    for pattern in PATTERNS:
        seen = _find_visible_pairs(pattern)
        for name in KERNELS:
            where = f"{encoding}, {pattern}, {name}"
            for t in range(T):
                given = tuple(c * (np.arange(T) == t).reshape(1, T, *(1,) * (c.ndim - 2)) for c in sample_cotangents())
                dq, dk, dv = map(np.asarray, _compute_gradients(encoding, pattern, name, given)[2])
                reached, expected = np.any(dv, -1).swapaxes(1, 2), seen[:, :, t]
                assert np.array_equal(reached, expected), (
                    f"query {t} reads {_describe_mismatch(reached, expected)}: {where}"
                )
                assert not dk.swapaxes(1, 2)[~expected].any(), f"query {t} depends on hidden keys: {where}"
                assert not np.delete(dq, t, axis=1).any(), f"query {t} depends on other queries: {where}"


def a_shard_of_the_heads_is_a_slice_of_the_whole(encoding: Encoding) -> None:
    """Some of the query heads, told their global numbers, give what they give among all: in another order, or alone."""
    params, halves = sample_params(encoding), np.split(np.arange(N), 2)
    shards = [("dense", run_compiled, heads) for heads in halves]
    shards += [(name, run_forward, np.concatenate(halves[::-1])) for name in KERNELS]
    for pattern in PATTERNS:
        for name, run, heads in shards:
            given = encoding, pattern, KERNELS[name], params
            whole = run_forward(*given, sample_qkv(), make_positions(scattered_positions(), length=8 * T))
            shard = run(*given, _slice_heads(heads), make_positions(scattered_positions(), length=8 * T, heads=heads))
            for what, a, b in zip(("out", "lse"), shard, whole, strict=True):
                expected = np.asarray(b)[:, :, heads]
                assert_same(a, expected, 1e-5, f"{what} of heads {heads}, {encoding}, {pattern}, {name}")


def _slice_heads(heads: np.ndarray) -> tuple[np.ndarray, ...]:
    """These query heads, and the key heads they read."""
    q, k, v = sample_qkv()
    keys = heads[:: N // K] * K // N
    return q[:, :, heads], k[:, :, keys], v[:, :, keys]


_NAMES = {"[0][0]": "out", "[0][1]": "lse", "[2][0]": "dq", "[2][1]": "dk", "[2][2]": "dv"}


def _compute_gradients(encoding: Encoding, pattern: Pattern, kernel: str, given: tuple) -> tuple:
    placement = make_positions(scattered_positions(), length=8 * T)
    return run_with_gradients(
        encoding, pattern, KERNELS[kernel], sample_params(encoding), sample_qkv(), placement, given
    )


def scattered_positions() -> np.ndarray:
    """i32[B, T]: positions with gaps, out of order, another order in each row."""
    rng = np.random.default_rng(5)
    return np.stack([rng.permutation(np.arange(T) * 2) for _ in range(B)]).astype(np.int32)


def sample_cotangents() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    dout, dlse = rng.standard_normal((B, T, N, H)), rng.standard_normal((B, T, N))
    return dout.astype(np.float32), dlse.astype(np.float32)


def _find_visible_pairs(pattern: Pattern) -> np.ndarray:
    """bool[B, K, T, S]: whether any of the query heads of a key head sees the key."""
    pos = jnp.asarray(scattered_positions())
    counts = np.asarray(pattern.counts(pos[:, None, :, None], pos[:, None, None, :], jnp.arange(N)[:, None, None], N))
    return np.any(np.broadcast_to(counts, (B, N, T, T)).reshape(B, K, N // K, T, T), axis=2)


def _describe_mismatch(reached: np.ndarray, seen: np.ndarray) -> str:
    b, head, s = (int(i) for i in np.argwhere(reached != seen)[0])
    return f"token {s} of row {b}, hidden from it" if reached[b, head, s] else f"nothing of token {s} of row {b}"
