"""Angles at long positions: a plain float32 product is off by 4e-3 rad at 131072 and by 0.06 at a million."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropelab.encodings import DynamicNTK, RoPE, YaRN, rope_frequencies
from ropelab.encodings.rotary import compute_angles, rotate, split_turns

BASES = (1e4, 5e5)
HOST = np.concatenate([rope_frequencies(128, base=base) for base in BASES])
EVERY = 37  # of the positions tried below a million


def difference(found, exact):
    """Angles compared as angles: whole turns do not count."""
    turns = (np.asarray(found, np.float64) - exact) / (2 * np.pi)
    return float(np.abs(2 * np.pi * (turns - np.round(turns))).max())


def error(positions, inv_freq):
    """The largest error, against the float64 product of what float32 or float64 frequencies were given."""
    pos = np.asarray(positions, np.int32)
    found = compute_angles(jnp.asarray(pos)[None], inv_freq)[0]
    return difference(found, pos[:, None].astype(np.float64) * np.asarray(inv_freq, np.float64))


@pytest.mark.parametrize("inv_freq", [HOST, jnp.asarray(HOST, jnp.float32)], ids=["float64", "float32"])
def test_angles_at_long_positions(inv_freq):
    assert error(np.arange(131072 - 999, 131073), inv_freq) < 1e-3
    assert error(np.arange(0, 1_000_001, EVERY), inv_freq) < 1e-2
    assert error(np.arange(1_000_000 - 999, 1_000_001), inv_freq) < 1e-2


@pytest.mark.parametrize("inv_freq", [HOST, jnp.asarray(HOST, jnp.float32)], ids=["float64", "float32"])
def test_angles_are_as_good_as_their_docstring_says(inv_freq):
    assert error(np.arange(0, 1_000_001, EVERY), inv_freq) < 3e-5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(2**20), 2**20), min_size=4, max_size=4), st.sampled_from(BASES))
def test_angles_at_any_position(positions, base):
    """Negative ones too: distances and padded slots have them."""
    inv_freq = rope_frequencies(128, base=base)
    assert error(positions, inv_freq) < 1e-4
    assert error(positions, jnp.asarray(inv_freq, jnp.float32)) < 1e-4


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**17), st.integers(0, 2**17))
def test_a_distance_is_the_difference_of_the_angles(m, n):
    """What the scores see: the turn between two positions is that of their distance."""
    at = np.asarray(compute_angles(jnp.asarray([[m, n, m - n]]), HOST)[0], np.float64)
    assert difference(at[0] - at[1], at[2]) < 3e-4


def test_a_plain_product_would_fail():
    """The reason for the split: float32 has 24 bits, and a million radians use 20 of them."""
    pos = np.arange(1_000_000 - 999, 1_000_001)
    plain = pos[:, None].astype(np.float32) * HOST.astype(np.float32)
    assert difference(plain, pos[:, None] * HOST) > 1e-2


def test_frequencies_split_exactly():
    leading, rest = (np.asarray(x, np.float64) for x in split_turns(HOST))
    np.testing.assert_allclose(leading + rest, HOST / (2 * np.pi), rtol=1e-11)
    mantissa, _ = np.frexp(leading)
    np.testing.assert_array_equal(np.ldexp(mantissa, 12), np.round(np.ldexp(mantissa, 12)))


@pytest.mark.parametrize(
    "encoding",
    [
        RoPE(base=5e5),
        YaRN(base=1e4, factor=32, original_length=4096),
        DynamicNTK(base=1e4, factor=2, original_length=4096),
    ],
    ids=repr,
)
@pytest.mark.parametrize("pairing", ["half", "interleaved"])
def test_a_rotated_vector_at_131072(encoding, pairing):
    """Through cosines, sines and the pairing: the vector itself, against float64."""
    inv_freq, amplitude = encoding.frequencies(64, 131072)
    x = np.random.default_rng(0).standard_normal(64).astype(np.float32)
    first, second = (x[0::2], x[1::2]) if pairing == "interleaved" else (x[:32], x[32:])
    turned = (first + 1j * second).astype(complex) * amplitude * np.exp(131071j * inv_freq)
    parts = (turned.real, turned.imag)
    expected = np.stack(parts, -1).ravel() if pairing == "interleaved" else np.concatenate(parts)
    found = rotate(
        jnp.asarray(x)[None, None, None], compute_angles(jnp.asarray([[131071]]), inv_freq), amplitude, pairing
    )
    np.testing.assert_allclose(np.asarray(found).ravel(), expected, atol=2e-4)
