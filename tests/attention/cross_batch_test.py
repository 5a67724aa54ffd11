"""Keys of other contexts at position 0: against a loop, against the authors' own numbers, and nothing leaks."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.attention import Causal, attend
from ropelab.attention.cross_batch import (
    ExtendedKeys,
    count_visible_rows,
    extend_across_batch,
    extend_with_memory,
    split_windows,
)
from ropelab.contract.calls import KERNELS, fast_jit
from ropelab.encodings import ALiBi, RoPE
from tests.encodings import frozen
from tests.errors import names

B, T, N, K, H = 6, 7, 4, 2, 8
ROPE = RoPE(base=1e4)
SLOPES = [2 ** (-8 * (n + 1) / N) for n in range(N)]


def sample():
    rng = np.random.default_rng(2307_03170)
    q = 2 * rng.standard_normal((B, T, N, H))
    k, v = rng.standard_normal((2, B, T, K, H))
    return q.astype(np.float32), k.astype(np.float32), v.astype(np.float32)


def eagerly(encoding, kernel, q, x: ExtendedKeys):
    k, v, q_pos, k_pos, segments = x
    return attend(q, k, v, encoding=encoding, kernel=kernel, q_pos=q_pos, k_pos=k_pos, segments=segments)


attended = fast_jit(eagerly, static_argnums=(0, 1))


def rotated(x, position):
    turned = (x[: H // 2] + 1j * x[H // 2 :]) * np.exp(1j * position * 1e4 ** (-np.arange(H // 2) / (H // 2)))
    return np.concatenate([turned.real, turned.imag])


def score(encoding, q, i, k, j, head):
    """Of a query at position i and a key at position j."""
    if isinstance(encoding, ALiBi):
        return q @ k / math.sqrt(H) - SLOPES[head] * (i - j)
    return rotated(q, i) @ rotated(k, j) / math.sqrt(H)


def by_hand(encoding, q, k, v, rows):
    """Out and lse, one query of one head at a time: its own keys up to itself, then all keys of the named rows at 0."""
    out, lse = np.zeros((B, T, N, H)), np.zeros((B, T, N))
    for b, i, head in np.ndindex(B, T, N):
        group = head // (N // K)
        keys = [(b, j, j) for j in range(i + 1)] + [(row, j, 0) for row in rows[b] for j in range(T)]
        e = np.exp([score(encoding, q[b, i, head], i, k[row, j, group], at, head) for row, j, at in keys])
        out[b, i, head] = sum(x * v[row, j, group] for x, (row, j, _) in zip(e, keys, strict=True)) / e.sum()
        lse[b, i, head] = math.log(e.sum())
    return out, lse


ROWS = {2: [[], [0], [1, 0], [], [3, 2], [4, 3]], 3: [[], [0], [1, 0], [2, 1, 0], [3, 2, 1], [4, 3, 2]]}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("encoding", [ROPE, ALiBi()], ids=repr)
@pytest.mark.parametrize("others, pack", [(2, 3), (3, None)])
def test_a_row_sees_the_rows_before_it_at_position_0(encoding, kernel, others, pack):
    q, k, v = sample()
    found = attended(encoding, KERNELS[kernel], q, extend_across_batch(k, v, others=others, pack=pack))
    for x, expected in zip(found, by_hand(encoding, q, k, v, ROWS[others]), strict=True):
        np.testing.assert_allclose(x, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "case", [c for c in frozen.cases("patterns") if c["peer"] == "cross_batch"], ids=lambda case: case["name"]
)
def test_the_authors_training_attention_gives_the_same(case):
    file, given = frozen.arrays("patterns"), case["arguments"]
    q, k, v = (file[name][0, :, : case["heads"]].reshape(case["rows"], -1, case["heads"], 8) for name in "qkv")
    pack = given["pack"] if given["stepping"] else None
    x = extend_across_batch(k, v, others=given["others"], pack=pack)
    out, _ = attended(RoPE(base=given["base"]), "auto", q, x)
    np.testing.assert_allclose(out, file[f"cases/{case['name']}/out"], rtol=0, atol=2e-5)


def test_the_authors_inference_gives_the_same():
    """Window by window, each at positions from 0 on, and a shorter one where the last part begins."""
    (case,) = (c for c in frozen.cases("patterns") if c["peer"] == "memory")
    file, given = frozen.arrays("patterns"), case["arguments"]
    q, k, v = (file[name][:, : case["tokens"], : case["heads"]] for name in "qkv")
    parts = split_windows(case["tokens"], window=given["window"], last=given["last"])
    assert [(part.start, part.stop) for part in parts] == [(0, 16), (16, 32), (32, 35), (35, 45)]
    outs = []
    for part in parts:
        x = extend_with_memory(k[:, part], v[:, part], k[:, : part.start], v[:, : part.start])
        outs.append(attended(RoPE(base=given["base"]), "auto", q[:, part], x)[0])
    np.testing.assert_allclose(np.concatenate(outs, axis=1), file["cases/memory/out"], rtol=0, atol=2e-5)


def by_the_authors_words(row, others, pack, stepping=True):
    """`pack_size` of FoT/cross_batch.py less the row itself."""
    if pack == 1 or not stepping:
        size = others + 1
    else:
        size = min(row % pack * math.ceil((others + 1) / max(pack - 1, 1)) + 1, others + 1)
    return min(size, row + 1) - 1


@pytest.mark.parametrize("others", range(6))
def test_how_many_rows_a_row_sees(others):
    for pack in (1, 2, 3, 4, 6, 12):
        expected = [by_the_authors_words(row, others, pack) for row in range(12)]
        assert count_visible_rows(12, others=others, pack=pack).tolist() == expected
    assert count_visible_rows(12, others=others).tolist() == [
        by_the_authors_words(b, others, 3, False) for b in range(12)
    ]


def test_no_row_is_seen_but_those_that_are_named():
    """And of one's own row nothing after the query, by the gradients of each row's outputs; the others all learn."""
    q, k, v = sample()

    def out(k, v):
        return eagerly(ROPE, KERNELS["dense"], q, extend_across_batch(k, v, others=2, pack=3))[0].sum((2, 3))

    dk, dv = fast_jit(jax.jacrev(out, argnums=(0, 1)))(k, v)  # [B, T] of out, then [B, S, K, H]
    for gradient in (dk, dv):
        seen = np.asarray(jnp.abs(gradient).max((4, 5)) > 0)
        for b, i in np.ndindex(B, T):
            for row in range(B):
                expected = np.arange(T) <= i if row == b else np.full(T, row in ROWS[2][b])
                alone = gradient is dk and b == row and i == 0 and not ROWS[2][b]  # one key: its weight cannot move
                np.testing.assert_array_equal(seen[b, i, row], expected & (not alone))


@pytest.mark.parametrize("pack", [None, 3])
def test_no_others_is_plain_attention(pack):
    q, k, v = sample()
    x = extend_across_batch(k, v, others=0, pack=pack)
    assert x.k_BSKH.shape == k.shape
    expected = attend(q, k, v, encoding=ROPE, pattern=Causal())
    for found in (x, extend_with_memory(k, v, k[:, :0], v[:, :0])):
        for a, b in zip(attended(ROPE, KERNELS["dense"], q, found), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_padding_is_hidden_wherever_it_stands():
    """What is written there changes nothing: not in one's own row, nor in other rows, nor in the memory."""
    q, k, v = sample()
    present = np.arange(T) < np.array([7, 5, 7, 4, 7, 6])[:, None]
    filled = [np.where(present[..., None, None], x, 9.0).astype(np.float32) for x in (k, v)]

    def remembered(k, v):
        return extend_with_memory(k, v, k[::-1], v[::-1], present=present, memory_present=present[::-1])

    for brought in (partial(extend_across_batch, others=2, present=present), remembered):
        one, other = (attended(ROPE, KERNELS["dense"], q, brought(*kv))[0] for kv in ((k, v), filled))
        np.testing.assert_array_equal(one, other)


def test_positions_may_be_given_and_traced():
    """A row that begins late is as far from the others as its own positions say."""
    _, k, v = sample()
    late = np.arange(T) + np.arange(B)[:, None]
    x = jax.jit(partial(extend_across_batch, others=2))(k, v, late)
    np.testing.assert_array_equal(x.q_pos, late)
    np.testing.assert_array_equal(x.k_pos, np.concatenate([late, np.zeros((B, 2 * T))], axis=1))


def test_texts_are_cut_into_windows():
    def ends(length):
        return [part.stop for part in split_windows(length, window=8, last=5)]

    assert [ends(n) for n in (3, 5, 6, 13, 14, 22)] == [[3], [5], [1, 6], [8, 13], [8, 9, 14], [8, 16, 17, 22]]


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda k: extend_across_batch(k, k, others=-1), "others=-1"),
        (lambda k: extend_across_batch(k, k, others=1, pack=4), names("pack=4", 6)),
        (lambda k: extend_across_batch(k, k, others=1, pack=0), names("pack=0", 6)),
        (lambda k: extend_across_batch(k, k[:, :-1], others=1), "shape"),
        (lambda k: extend_across_batch(k, k, np.arange(T) - 1, others=1), "position -1"),
        (lambda k: extend_with_memory(k, k, k[:2], k[:2]), "keys"),
        (lambda k: extend_with_memory(k, k, k, k[:, :-1]), "shape"),
        (lambda k: split_windows(9, window=0, last=4), names("window=0", "last=4")),
    ],
)
def test_inputs_that_do_not_fit_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call(np.zeros((B, T, K, H), np.float32))
