"""Positions are arrays handed over, never counted: shifted, permuted, gapped, packed or explicit ones are honoured."""

import math
from typing import TypeGuard

import jax.numpy as jnp
import numpy as np

from ropelab.attention import Causal
from ropelab.contract.calls import KERNELS, TokenPositions, make_positions, run_compiled, run_forward
from ropelab.contract.samples import (
    PATTERNS,
    B,
    K,
    N,
    Numbers,
    T,
    assert_same,
    sample_params,
    sample_positions,
    sample_qkv,
)
from ropelab.encodings import Encoding, Rotary, scores


def shifting_all_positions_changes_nothing(encoding: Encoding) -> None:
    """Scores depend on the distance alone: 4099 added to every position leaves them as they are.

    Positions rounded to bfloat16 and a decay on one side only fail here. An encoding that is not relative says so, and
    its scores, or what it adds to the input, do change.
    """
    shift = 4099  # prime: no multiple of a group, chunk or group
    q, k, _ = sample_qkv()
    pos, params = jnp.sort(sample_positions(encoding)), sample_params(encoding)
    here, there = (
        scores(encoding, q, k, pos + s, pos + s, params=params, length=int(pos.max()) + 1) for s in (0, shift)
    )
    if encoding.relative:
        remedy = "if it is meant to depend on the positions themselves, set relative = False in the class; "
        assert_same(there, here, 3e-4, f"{remedy}scores of {encoding} {shift} positions further on")
        return
    row = jnp.zeros((1, T, N * q.shape[-1]))
    x, y = (np.asarray(encoding.embed(params, row, pos[None] + s)) for s in (0, shift))
    moved = np.abs(np.asarray(there - here))[:, :, np.tri(T, dtype=bool)].max() + np.abs(y - x).max()
    assert not moved < 1e-3, f"{encoding} says it is not relative, and a shift by {shift} changes nothing"


def fractions_are_honoured_or_refused(encoding: Encoding) -> str | None:
    """Positions between whole ones, as Position Interpolation uses them, are scored where they are, or refused: nothing
    rounds them.

    Whole numbers as fractions score as integers do. Of a relative encoding, a quarter added to every position changes
    no score, and half the positions do not score as their whole parts; a rotation is a float64 loop's.
    """
    q, k, _ = sample_qkv()
    params, pos = sample_params(encoding), np.sort(sample_positions(encoding))
    if not encoding.fractional_positions:
        try:
            scores(encoding, q, k, pos / 2, pos / 2, params=params)
        except ValueError:
            return "defined for whole positions only; fractions are refused"
        raise AssertionError(f"{encoding} says that it takes no fractional positions and scores them")
    length = int(pos.max()) + 1
    whole, asked, quarter, half = (
        np.asarray(scores(encoding, q, k, p, p, params=params, length=length))
        for p in (pos, pos.astype(np.float32), pos + np.float32(0.25), pos / 2)
    )
    assert_same(asked, whole, 1e-5, f"scores of {encoding} at whole positions given as fractions")
    if encoding.relative:
        assert_same(quarter, whole, 3e-4, f"scores of {encoding} a quarter of a position further on")
        floor = np.asarray(scores(encoding, q, k, pos // 2, pos // 2, params=params, length=length))
        placeless = np.abs(whole - floor).max() < 1e-3
        assert placeless or np.abs(half - floor).max() > 1e-4, f"{encoding} scores half positions as whole ones"
    if _rotates_only(encoding):
        assert_same(half, _score_in_float64(encoding, pos / 2, length), 1e-5, f"scores of {encoding} at half positions")
    return None


def gaps_are_honoured(encoding: Encoding) -> str | None:
    """Some tokens of a text, handed over with their own positions in any order, score as they do in the whole text."""
    if encoding.needs_full_rows:
        return "scores of a contextual encoding depend on the tokens that are missing"
    q, k, _ = sample_qkv(2 * T)
    params, whole = sample_params(encoding), jnp.arange(2 * T)
    chosen: Numbers = np.random.default_rng(3).permutation(2 * T)[:T]
    expected = np.asarray(scores(encoding, q, k, whole, whole, params=params, length=2 * T))
    actual = scores(encoding, q[:, chosen], k[:, chosen], chosen, chosen, params=params, length=2 * T)
    assert_same(actual, expected[:, :, chosen][..., chosen], 1e-5, f"scores of {encoding} for tokens with gaps")


def explicit_positions_equal_implicit(encoding: Encoding) -> None:
    """Saying 0, 1, 2, ... gives what saying nothing gives."""
    params, qkv, pos = sample_params(encoding), sample_qkv(), jnp.arange(T)
    implicit = run_compiled(encoding, Causal(), KERNELS["dense"], params, qkv)
    explicit = run_compiled(encoding, Causal(), KERNELS["dense"], params, qkv, TokenPositions(pos, pos))
    for name, a, b in zip(("out", "lse"), explicit, implicit, strict=True):
        assert_same(a, b, 1e-5, f"{name} of {encoding} with explicit positions")


def permuted_tokens_give_permuted_outputs(encoding: Encoding) -> None:
    """The order in which tokens are stored means nothing: their positions alone place them."""
    params, qkv = sample_params(encoding), sample_qkv()
    pos = np.broadcast_to(np.arange(T) * 3, (B, T))
    order = np.random.default_rng(4).permutation(T)
    mixed = tuple(x[:, order] for x in qkv)
    for pattern in PATTERNS:
        for name, kernel in KERNELS.items():
            there = run_forward(encoding, pattern, kernel, params, qkv, make_positions(pos, length=3 * T))
            here = run_forward(encoding, pattern, kernel, params, mixed, make_positions(pos[:, order], length=3 * T))
            for what, a, b in zip(("out", "lse"), here, there, strict=True):
                expected = np.asarray(b)[:, order]
                assert_same(a, expected, 1e-5, f"{what} of permuted tokens, {encoding}, {pattern}, {name}")


def packed_documents_are_separate_documents(encoding: Encoding) -> None:
    """Three documents in one row, each counting from 0, give what each gives alone: one after another, or mingled.

    One after another, relative encodings cannot tell a position from a count of the row's tokens; mingled, they can.
    """
    params, qkv = sample_params(encoding), sample_qkv()
    each = T // 3
    alone = tuple(x.reshape(3 * B, each, *x.shape[2:]) for x in qkv)
    first = np.broadcast_to(np.arange(each), (3 * B, each))
    documents, pos = np.repeat(np.arange(3), each), np.tile(np.arange(each), 3)
    for pattern in PATTERNS:
        separate = run_compiled(
            encoding, pattern, KERNELS["dense"], params, alone, TokenPositions(first, first, None, 4 * T)
        )
        for order in (np.arange(T), np.random.default_rng(7).permutation(T)):
            packed = make_positions(*(np.broadcast_to(x[order], (B, T)) for x in (pos, documents)), length=4 * T)
            for name, kernel in KERNELS.items():
                together = run_forward(encoding, pattern, kernel, params, tuple(x[:, order] for x in qkv), packed)
                for what, a, b in zip(("out", "lse"), together, separate, strict=True):
                    expected = np.asarray(b).reshape(a.shape)[:, order]
                    assert_same(a, expected, 1e-5, f"{what} of packed documents, {encoding}, {pattern}, {name}")


def rotations_equal_a_float64_loop(encoding: Encoding) -> str | None:
    """A purely rotary encoding turns by position times its own frequencies, in its own pairing: nothing else."""
    if not _rotates_only(encoding):
        return "not a rotation alone"
    if encoding.per_query_keys:
        return "each query has frequencies of its own; the properties of decoding and of kernels compare those"
    q, k, _ = sample_qkv()
    pos = sample_positions(encoding)
    actual = scores(encoding, q, k, pos, pos, length=int(pos.max()) + 1)
    expected = _score_in_float64(encoding, pos, int(pos.max()) + 1)
    assert_same(actual, expected, 1e-5, f"scores of {encoding} against a float64 loop")


def _rotates_only(encoding: Encoding) -> TypeGuard[Rotary]:
    """Return whether the scores are those of queries and keys turned by `frequencies`, and nothing else."""
    purely = ("turn", "encode_q", "encode_k", "combine")
    return isinstance(encoding, Rotary) and all(getattr(type(encoding), n) == getattr(Rotary, n) for n in purely)


def _score_in_float64(encoding: Rotary, pos: np.ndarray, length: int) -> np.ndarray:
    """The scores of a rotary encoding at these positions, by a loop in float64."""
    q, k, _ = sample_qkv()
    inv_freq, amplitude = encoding.frequencies(q.shape[-1], length)
    q, k = (_rotate_in_float64(x, pos, np.asarray(inv_freq), float(amplitude), encoding.layout) for x in (q, k))
    k = np.repeat(k, N // K, axis=2)
    return np.einsum("BTNH,BSNH->BNTS", q, k) / math.sqrt(q.shape[-1])


def _rotate_in_float64(
    x: np.ndarray, pos: np.ndarray, inv_freq: np.ndarray, amplitude: float, pairing: str | None
) -> np.ndarray:
    """Each pair of each token turned by a 2 x 2 matrix, in float64."""
    out, R = x.astype(np.float64), len(inv_freq)
    for t, p in enumerate(pos):
        for r in range(R):
            i, j = (2 * r, 2 * r + 1) if pairing == "interleaved" else (r, r + R)
            c, s = amplitude * math.cos(p * inv_freq[r]), amplitude * math.sin(p * inv_freq[r])
            a, b = x[:, t, :, i], x[:, t, :, j]
            out[:, t, :, i], out[:, t, :, j] = a * c - b * s, b * c + a * s
    return out
