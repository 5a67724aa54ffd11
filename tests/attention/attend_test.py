"""The one formula on every kernel: frozen numbers, inputs that are refused, and rows, counts and parts at the edges."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.attention import Causal, Pattern, SlidingWindow, attend
from ropelab.attention.registry import KERNELS as NAMED
from ropelab.attention.registry import choose_kernel
from ropelab.contract.calls import (
    KERNELS,
    TokenPositions,
    make_positions,
    run_compiled,
    run_forward,
    run_with_gradients,
)
from ropelab.contract.kernels import sample_cotangents
from ropelab.contract.samples import B, H, K, N, T, assert_same, sample_qkv
from ropelab.encodings import ALiBi, NoPE, RoPE, YaRN, scores
from ropelab.spec import spec
from tests.encodings import frozen
from tests.errors import names

IN_ONE_BLOCK = KERNELS | {"blockwise, one block": NAMED["blockwise"]}
ROPE = RoPE(base=1e4)


@spec
class Thrice(Pattern):
    """Causal, and every third key is seen three times."""

    def counts(self, q_pos, k_pos, head, num_heads):
        return (k_pos <= q_pos) * jnp.where(k_pos % 3 == 0, 3, 1)


def rows(pos):
    return np.broadcast_to(pos, (B, len(pos)))


@pytest.mark.parametrize("kernel", IN_ONE_BLOCK)
@pytest.mark.parametrize("case", frozen.cases("attention"), ids=lambda case: case["name"])
def test_frozen_attention(case, kernel):
    frozen.equals_frozen_attention(case, frozen.of_attention(case), IN_ONE_BLOCK[kernel])


def test_lse_is_that_of_the_scores():
    q, k, v = sample_qkv()
    s_BNTS = np.asarray(scores(ROPE, q, k, jnp.arange(T), jnp.arange(T)))
    expected = np.log(np.sum(np.exp(s_BNTS) * np.tri(T), axis=-1)).swapaxes(1, 2)
    assert_same(attend(q, k, v, encoding=ROPE)[1], expected, 1e-5, "lse")


@pytest.mark.parametrize("name", KERNELS)
def test_a_query_that_sees_nothing_gets_zero_and_no_weight(name):
    """Zero and -inf, and gradients that are finite: the merge of partial results weighs such a row by nothing."""
    q_pos, k_pos = np.arange(T) * 2, np.arange(T) + T
    where = TokenPositions(q_pos, k_pos)
    (out, lse), _, gradients = run_with_gradients(
        ROPE, Causal(), KERNELS[name], {}, sample_qkv(), where, sample_cotangents()
    )
    blind = q_pos < k_pos[0]
    assert (np.asarray(out)[:, blind] == 0).all()
    assert (np.asarray(lse)[:, blind] == -np.inf).all()
    assert np.isfinite(np.asarray(lse)[:, ~blind]).all()
    dq, dk, dv = map(np.asarray, gradients)
    assert (dq[:, blind] == 0).all()
    assert all(np.isfinite(x).all() and x.any() for x in (dq, dk, dv))


@pytest.mark.parametrize("name", KERNELS)
def test_a_key_seen_three_times_is_three_keys(name):
    """In numerator and denominator, forward and backward: the softmax of a key that two branches see."""
    q, k, v = sample_qkv()
    pos = np.arange(T)
    repeated = np.repeat(pos, np.where(pos % 3 == 0, 3, 1))
    places, copies = TokenPositions(pos, pos), TokenPositions(pos, repeated)
    found = run_with_gradients(ROPE, Thrice(), KERNELS[name], {}, (q, k, v), places, sample_cotangents())
    copied = q, k[:, repeated], v[:, repeated]
    expected = run_with_gradients(ROPE, Causal(), KERNELS["dense"], {}, copied, copies, sample_cotangents())
    for what, a, b in zip(("out", "lse"), found[0], expected[0], strict=True):
        assert_same(a, b, 1e-5, what)
    first = np.searchsorted(repeated, pos)
    summed = (expected[2][0], *(np.add.reduceat(x, first, axis=1) for x in expected[2][1:]))
    for what, a, b in zip(("dq", "dk", "dv"), found[2], summed, strict=True):
        assert_same(a, b, 2e-5, what)


@pytest.mark.parametrize("name", KERNELS)
def test_parts_merge_by_their_lse(name):
    """Two halves of the keys, each attended alone, weighted by exp(lse): the merge of ring attention and LongNet."""
    q, k, v = sample_qkv()
    pos, half = np.arange(T), T // 2 + 2
    whole, total = run_compiled(ALiBi(), Causal(), KERNELS[name], {}, (q, k, v), TokenPositions(pos, pos))
    parts = [
        run_compiled(ALiBi(), Causal(), KERNELS[name], {}, (q, k[:, part], v[:, part]), TokenPositions(pos, pos[part]))
        for part in (slice(0, half), slice(half, T))
    ]
    merged = sum(out * jnp.exp(lse - total)[..., None] for out, lse in parts)
    assert_same(merged, whole, 1e-5, "out")
    assert_same(jnp.logaddexp(parts[0][1], parts[1][1]), total, 1e-5, "lse")


@pytest.mark.parametrize("name", KERNELS)
def test_queries_and_keys_may_have_segments_of_their_own(name):
    """As a cache has: one query against slots of which some belong to no document."""
    q, k, v = sample_qkv()
    pos, filled = np.arange(T), 13
    segments = np.zeros((B, 1), int), rows(np.where(pos < filled, 0, -1))
    found = run_compiled(ROPE, Causal(), KERNELS[name], {}, (q[:, -1:], k, v), TokenPositions(pos[-1:], pos, segments))
    keys = k[:, :filled], v[:, :filled]
    expected = run_compiled(
        ROPE, Causal(), KERNELS["dense"], {}, (q[:, -1:], *keys), TokenPositions(pos[-1:], pos[:filled])
    )
    for what, a, b in zip(("out", "lse"), found, expected, strict=True):
        assert_same(a, b, 1e-5, what)


@pytest.fixture
def float64():
    jax.config.update("jax_enable_x64", True)
    yield jnp.float64
    jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("pattern", [Causal(), SlidingWindow(window=5), Thrice()], ids=repr)
@pytest.mark.parametrize("encoding", [ROPE, ALiBi()], ids=repr)
def test_blockwise_equals_dense_in_float64(encoding, pattern, float64):
    """To 1e-12: in double precision the two kernels differ by rounding alone, so no term is missing."""
    qkv, given = (tuple(jnp.asarray(x, float64) for x in xs) for xs in (sample_qkv(), sample_cotangents()))
    results = []
    for kernel in KERNELS.values():
        found, _, gradients = run_with_gradients(encoding, pattern, kernel, {}, qkv, TokenPositions(), given)
        results.append((*found, *gradients))
    for what, a, b in zip(("out", "lse", "dq", "dk", "dv"), *results, strict=True):
        assert a.dtype == float64
        assert_same(a, b, 1e-12, what)


@pytest.mark.parametrize("name", KERNELS)
def test_outputs_keep_the_dtype_and_lse_is_float32(name):
    narrow = tuple(jnp.asarray(x, jnp.bfloat16) for x in sample_qkv())
    out, lse = run_compiled(ROPE, Causal(), KERNELS[name], {}, narrow)
    wide = tuple(x.astype(jnp.float32) for x in narrow)
    expected = run_compiled(ROPE, Causal(), KERNELS["dense"], {}, wide)
    assert (out.dtype, lse.dtype) == (jnp.bfloat16, jnp.float32)
    assert_same(out.astype(jnp.float32), expected[0], 2e-2, "out")
    assert_same(lse, expected[1], 2e-2, "lse")


@pytest.mark.parametrize("name", KERNELS)
def test_scores_of_a_thousand_do_not_overflow(name):
    q, k, v = sample_qkv()
    where = make_positions(rows(np.arange(T)), length=T)
    out, lse = map(np.asarray, run_forward(ROPE, Causal(), KERNELS[name], {}, (300 * q, k, v), where))
    assert np.isfinite(out).all()
    assert np.abs(lse).max() > 1000
    assert np.abs(out).max() <= np.abs(v).max() * (1 + 1e-5)


def test_auto_is_dense_for_small_squares_and_blockwise_beyond():
    assert choose_kernel("auto", 512, 512) == "dense"
    assert choose_kernel("auto", 513, 512) == "blockwise"
    assert choose_kernel("auto", 1, 200_000) == "dense"
    assert choose_kernel("dense", 10**6, 10**6) == "dense"
    assert choose_kernel("blockwise", 1, 1) == "blockwise"


@pytest.mark.parametrize("kernel, machine", [("cudnn", "GPU"), ("splash", "TPU")])
def test_a_fused_kernel_without_its_machine_says_so(kernel, machine):
    with pytest.raises(ValueError, match=f"kernel='{kernel}'.*{machine}.*cpu"):
        attend(*sample_qkv(), encoding=ROPE, kernel=kernel)


def test_the_named_kernels_agree_and_the_pattern_is_causal_by_default():
    q, k, v = sample_qkv()
    results = [attend(q, k, v, encoding=ROPE, pattern=Causal(), kernel=name) for name in ("auto", "dense", "blockwise")]
    for out, lse in (*results, attend(q, k, v, encoding=ROPE)):
        assert_same(out, results[0][0], 1e-5, "out")
        assert_same(lse, results[0][1], 1e-5, "lse")


def shaped(**changes):
    sizes = {"q": (B, T, N, H), "k": (B, T, K, H), "v": (B, T, K, H)} | changes
    return [jnp.zeros(sizes[name]) for name in "qkv"]


@pytest.mark.parametrize(
    "arrays, options, said",
    [
        (shaped(k=(B + 1, T, K, H)), {}, "shape"),
        (shaped(k=(B, T, K, 8)), {}, "shape"),
        (shaped(v=(B, T - 1, K, H)), {}, "shape"),
        (shaped(v=(B, T, 1, H)), {}, "shape"),
        (shaped(k=(B, T, 3, H), v=(B, T, 3, H)), {}, names(4, 3)),
        (shaped(q=(B, 3, N, H)), {}, names(3, 21)),
        (shaped(), {"q_pos": np.arange(T)}, names("q_pos", "k_pos")),
        (shaped(), {"k_pos": np.arange(T)}, names("q_pos", "k_pos")),
        (shaped(), {"heads": np.arange(N) + N}, "num_heads="),
        (shaped(), {"kernel": "flash"}, names("'flash'", "dense", "blockwise")),
        (shaped(), {"encoding": RoPE()}, "base"),
        (shaped(), {"encoding": RoPE(base=1e4, rotary_dim=32)}, names("rotary_dim=32", "head_dim=16")),
        (shaped(q=(B, T, N, 7), k=(B, T, K, 7), v=(B, T, K, 7)), {}, "head_dim=7"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(arrays, options, said):
    with pytest.raises(ValueError, match=said):
        attend(*arrays, **({"encoding": ROPE} | options))


def test_values_may_be_wider_than_keys():
    q, k, v = sample_qkv()
    out, _ = attend(q, k, np.concatenate([v, v], axis=-1), encoding=NoPE())
    assert_same(out, np.concatenate([attend(q, k, v, encoding=NoPE())[0]] * 2, axis=-1), 1e-6, "out")


def test_a_temperature_is_in_the_scores():
    """YaRN's factor a on queries and keys multiplies the scores by a squared."""
    q, k, _ = sample_qkv()
    warm = YaRN(base=1e4, factor=8.0, original_length=64)
    plain = dataclasses.replace(warm, attention_factor=1.0)
    pos = np.arange(T)
    factor = (0.1 * np.log(8.0) + 1) ** 2
    assert_same(scores(warm, q, k, pos, pos), factor * scores(plain, q, k, pos, pos), 1e-5, "scores")


@pytest.mark.parametrize("name", KERNELS)
def test_sink_logits_are_a_key_without_a_value(name):
    """As one more column of the softmax that is dropped afterwards: out, lse, and the gradient of the sinks."""
    q, k, v = sample_qkv()
    sinks, (dout, dlse) = np.linspace(-1, 2, N, dtype=np.float32), sample_cotangents()

    def attended(sinks):
        return attend(q, k, v, encoding=NoPE(), kernel=KERNELS[name], sink_logits=sinks)

    def appended(sinks):
        s_BNTS = jnp.where(np.tri(T, dtype=bool), scores(NoPE(), q, k, np.arange(T), np.arange(T)), -jnp.inf)
        column = jnp.broadcast_to(sinks[:, None, None], (B, N, T, 1))
        wide = jnp.concatenate([s_BNTS, column], axis=-1)
        p_BNTS = jax.nn.softmax(wide, axis=-1)[..., :-1]
        out = jnp.einsum("BNTS,BSNH->BTNH", p_BNTS, jnp.repeat(v, N // K, axis=2))
        return out, jax.nn.logsumexp(wide, axis=-1).swapaxes(1, 2)

    found, pull = jax.vjp(jax.jit(attended), sinks)
    expected, pull_expected = jax.vjp(jax.jit(appended), sinks)
    for what, a, b in zip(("out", "lse"), found, expected, strict=True):
        assert_same(a, b, 1e-5, what)
    assert_same(*pull((dout, dlse)), *pull_expected((dout, dlse)), 2e-5, "the gradient of the sinks")


@pytest.mark.parametrize(("T", "S"), [(0, 0), (0, 3), (3, 0)])
def test_no_queries_or_no_keys_give_empty_results(T, S):
    q, k = jnp.ones((1, T, 4, 8)), jnp.ones((1, S, 2, 8))
    for kernel in ("dense", "blockwise"):
        where = {"q_pos": jnp.arange(T)[None], "k_pos": jnp.arange(S)[None]}
        out, lse = attend(q, k, k, encoding=ROPE, kernel=kernel, **where)
        assert out.shape == (1, T, 4, 8)
        assert lse.size == 4 * T
        assert not np.asarray(out).any()
        assert (np.asarray(lse) == -np.inf).all()
