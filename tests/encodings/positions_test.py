"""Positions and segments that callers give: fractions are honoured or refused, and nothing is cut or broadcast."""

import jax
import numpy as np
import pytest

from ropelab import attention
from ropelab.attention import Causal, Dilated, SlidingWindow
from ropelab.encodings import PI, ALiBi, DynamicNTK, LearnedAbsolute, LogN, RoPE, T5Bias, XPos, scores
from ropelab.encodings.rotary import compute_angles
from tests.models import tiny

T = 20
ROPE = RoPE(base=1e4)
rng = np.random.default_rng(0)
q, k, v = rng.standard_normal((3, 2, T, 2, 16)).astype(np.float32)

REFUSED = {
    "too few": [0],
    "a row too few": [[0]],
    "a number": 5,
    "one token short": np.arange(T - 1),
    "one row for two": np.arange(T)[None],
    "beyond 32 bits": np.arange(T) + 2**32,
    "python integers beyond 64 bits": [2**70] * T,
    "not a number": [np.nan] * T,
    "infinite": [np.inf] * T,
    "booleans": [True] * T,
    "ragged": [[0] * T, [0]],
}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED)
def test_positions_of_another_kind_are_refused(bad):
    good, model = np.arange(T), tiny.lab().model
    with pytest.raises(ValueError, match="q_pos"):
        scores(ROPE, q, k, bad, good)
    with pytest.raises(ValueError, match="k_pos"):
        attention.attend(q, k, v, encoding=ROPE, q_pos=good, k_pos=bad)
    with pytest.raises(ValueError, match="positions"):
        model.logits(np.zeros((2, T), int), positions=bad)


@pytest.mark.parametrize("bad", [[0], 5, [0.0] * T, [np.nan] * T, [0, 2**32] * 10, [[0] * T]], ids=repr)
def test_segments_of_another_kind_are_refused(bad):
    with pytest.raises(ValueError, match="segments"):
        attention.attend(q, k, v, encoding=ROPE, segments=bad)
    with pytest.raises(ValueError, match="segments"):
        tiny.lab().model.nll(np.zeros((2, T), int), segments=bad)


def test_half_positions_are_position_interpolation():
    half, whole, interpolated = np.arange(T) / 2, np.arange(T), PI(base=1e4, factor=2.0)
    expected = scores(interpolated, q, k, whole, whole)
    np.testing.assert_allclose(scores(ROPE, q, k, half, half), expected, atol=2e-6)
    for kernel in ("dense", "blockwise"):
        out, _ = attention.attend(q, k, v, encoding=ROPE, q_pos=half, k_pos=half, kernel=kernel)
        same, _ = attention.attend(q, k, v, encoding=interpolated, kernel=kernel)
        np.testing.assert_allclose(out, same, atol=2e-6)


@pytest.mark.parametrize("call", ["logits", "nll"])
def test_half_positions_in_a_model_are_position_interpolation(call: str):
    model = tiny.lab().model
    tokens = rng.integers(0, model.config.vocabulary, (2, T))
    interpolated = model.rewired(PI(factor=2.0).inherit(model.wiring.encoding), Causal(), "auto")
    found = getattr(model, call)(tokens, positions=np.arange(T) / 2)
    np.testing.assert_allclose(found, getattr(interpolated, call)(tokens), atol=2e-5)


@pytest.mark.parametrize(
    "encoding", [T5Bias(), LearnedAbsolute(max_length=32), XPos(base=1e4), LogN(inner=T5Bias(), original_length=4)]
)
def test_fractions_are_refused_where_only_whole_positions_have_a_meaning(encoding):
    params = encoding.init(jax.random.key(0), num_heads=2, head_dim=16)
    with pytest.raises(ValueError, match=type(encoding).__name__):
        scores(encoding, q, k, np.arange(T) / 2, np.arange(T) / 2, params=params)


@pytest.mark.parametrize("pattern", [Dilated(segments=(4, 8), rates=(1, 2)), SlidingWindow(window=4)])
def test_fractions_are_refused_by_a_pattern_of_whole_positions(pattern):
    with pytest.raises(ValueError, match=type(pattern).__name__):
        attention.attend(q, k, v, encoding=ALiBi(), pattern=pattern, q_pos=np.arange(T) / 2, k_pos=np.arange(T) / 2)


@pytest.mark.parametrize(
    "encoding", [LearnedAbsolute(max_length=32), DynamicNTK(base=1e4, factor=1.0, original_length=8, per="query")]
)
def test_positions_below_zero_are_refused_where_they_are_counted_from_zero(encoding):
    params = encoding.init(jax.random.key(0), num_heads=2, head_dim=16)
    with pytest.raises(ValueError, match="-1"):
        scores(encoding, q, k, np.arange(T) - 1, np.arange(T) - 1, params=params)


def test_angles_of_fractions_are_exact_far_out():
    pos, inv_freq = np.arange(2_000_000, 2_000_020) + 0.25, ROPE.frequencies(16, 1)[0]
    expected = pos[:, None] * inv_freq
    found = np.asarray(compute_angles(pos[None].astype(np.float32), inv_freq))[0]
    assert np.abs(np.angle(np.exp(1j * (found - expected)))).max() < 3e-5
