"""A bias linear in the distance as head dimensions: products against the exact bias, near and far, in both dtypes."""

import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.attention.kernels.low_rank import (
    MAX_POSITIONS,
    add_bias_dimensions,
    count_bias_dimensions,
    split_digits,
    split_rows,
    split_slopes,
)
from ropelab.encodings import ALL, ALiBi
from ropelab.encodings.alibi import alibi_slopes
from ropelab.encodings.base import Context
from ropelab.encodings.scoring import multiply_qk

POWERS, OTHERS = alibi_slopes(8), alibi_slopes(12)  # 2^-1 ... 2^-8, and eight of those with four powers of sqrt(2)
K, H = 2, 16


def rows(length):
    """i32[1, T] and i32[1, S]: queries at the ends, in the middle and between, keys near each of them and anywhere."""
    q_pos = np.array([length // 2 - 1, 30, length - 1, length // 4, length // 2 + 29])
    near = (q_pos[:, None] - np.arange(30)).ravel()
    anywhere = np.linspace(0, length - 1, 100, dtype=np.int32)
    return q_pos[None], np.concatenate([near, anywhere])[None]


def outputs(s_BNTS, hidden_BNTS, values_S):
    """The mean of some values that differ from key to key, in float64."""
    s_BNTS = np.where(hidden_BNTS, -np.inf, s_BNTS.astype(np.float64))
    p = np.exp(s_BNTS - s_BNTS.max(-1, keepdims=True))
    return p @ values_S / p.sum(-1)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("slopes", [POWERS, OTHERS], ids=["powers of two", "others"])
@pytest.mark.parametrize("length, tolerance", [(512, 2e-5), (4096, 2e-4), (131072, 4e-3), (2**20, 4e-2)])
def test_products_are_those_of_the_exact_bias(slopes, length, tolerance, dtype):
    """bfloat16 operands and float32 sums. The tolerance is what a few roundings at m T / 2 cost, 2^-25 m T each.

    A processor with bfloat16 instructions rounds more often, at most once for each dimension of the bias (3.5 times on
    Intel's AVX512-BF16, 2 times with float32 multiply-adds); summed in float32, the same operands keep the tolerance.
    """
    q_pos, k_pos = rows(length)
    rng, N = np.random.default_rng(1), len(slopes)
    q = jnp.asarray(rng.standard_normal((1, N, q_pos.size, H)) / 4, dtype)
    k = jnp.asarray(rng.standard_normal((1, K, k_pos.size, H)), dtype)
    operands = add_bias_dimensions(q, k, slopes, jnp.asarray(q_pos), jnp.asarray(k_pos), reach=length)
    found = multiply_qk(*operands)
    assert found.dtype == jnp.float32
    distance = q_pos[:, None, :, None] - k_pos[:, None, None, :]
    scores = np.asarray(multiply_qk(q.astype(jnp.float32), k.astype(jnp.float32)), np.float64)
    expected = scores - slopes[:, None, None] * distance
    hidden = np.broadcast_to(distance < 0, expected.shape)
    values = rng.standard_normal(k_pos.size)
    far = ~hidden & (expected < -1)
    in_float32 = multiply_qk(*(x.astype(jnp.float32) for x in operands))
    rounded_often = count_bias_dimensions(slopes, length) * 2**-25 * slopes.max() * length
    bound = tolerance if dtype == jnp.float32 else max(tolerance, rounded_often)
    for summed, most in ((in_float32, tolerance), (found, bound)):
        error = outputs(np.asarray(summed), hidden, values) - outputs(expected, hidden, values)
        assert np.abs(error).max() < most
        assert np.abs(np.asarray(summed) / expected - 1)[far].max() < most


def test_a_bound_on_the_distance_spares_dimensions():
    assert [count_bias_dimensions(POWERS, n) for n in (512, 131072, MAX_POSITIONS)] == [8, 8, 8]
    assert [count_bias_dimensions(OTHERS, n) for n in (512, 131072, MAX_POSITIONS)] == [8, 8, 16]
    with pytest.raises(ValueError, match="more than three digits"):
        count_bias_dimensions(POWERS, MAX_POSITIONS + 1)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_digits_are_exact_in_bfloat16(count):
    most = 256**count
    x = np.unique(np.concatenate([np.linspace(-most, most, 999, dtype=int), np.arange(-300, 300).clip(-most, most)]))
    found = np.asarray(split_digits(jnp.asarray(x), count).astype(jnp.bfloat16), np.float64)
    np.testing.assert_array_equal(found @ 256.0 ** np.arange(count), x)


def test_three_pieces_are_a_float32():
    """XLA may leave out a cast to bfloat16 and back, and then the second piece would be 0."""
    x = np.random.default_rng(0).standard_normal(1000, np.float32) * 1e5
    pieces = np.asarray(split_rows(jnp.asarray(x)))
    assert (np.asarray(jnp.asarray(pieces, jnp.bfloat16), np.float32) == pieces).all()
    assert (pieces.astype(np.float64).sum(-1) == x).all()


def test_slopes_are_cut_where_they_must_be():
    assert (split_slopes(POWERS) == POWERS).all()
    first, rest = split_slopes(OTHERS)
    assert np.abs(first + rest - OTHERS).max() < 2**-17 * OTHERS.max()
    assert np.abs((first + rest) / OTHERS - 1).max() < 2**-17


@pytest.mark.parametrize("encoding", [e for e in ALL if e.linear_slopes(12) is not None], ids=repr)
def test_who_says_that_its_bias_is_linear_adds_it(encoding):
    q_pos, k_pos = np.arange(0, 50, 7), np.arange(0, 50, 3)
    views = (jnp.zeros((1, 12, len(q_pos), len(k_pos))),)
    bias = encoding.combine({}, views, q_pos[None], k_pos[None], Context(50, 12, jnp.arange(12)))
    expected = -encoding.linear_slopes(12)[:, None, None] * np.abs(q_pos[:, None] - k_pos)
    np.testing.assert_allclose(bias[0], expected, rtol=1e-6)


def test_alibi_alone_is_linear():
    assert {type(e) for e in ALL if e.linear_slopes(4) is not None} == {ALiBi}
    np.testing.assert_array_equal(ALiBi(max_bias=4.0).linear_slopes(4), [0.5, 0.25, 0.125, 0.0625])
