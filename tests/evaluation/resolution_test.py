"""Attention resolution against a plain double loop; expected and measured scores against sums written out."""

import functools
import math
from typing import Any

import jax
import numpy as np
import pytest

from ropelab.encodings import parse
from ropelab.evaluation import attention_resolution, expected_scores, measured_scores
from ropelab.evaluation.attention_taps import ScoreByDistance
from ropelab.evaluation.capture import CaptureSettings, capture_layers
from ropelab.models.module import Model
from tests.errors import names
from tests.evaluation.squares import squares
from tests.models import tiny


def by_hand(s: list[float]) -> float:
    """The formula as it stands, N = len(s) - 2."""
    above, below = 0.0, 0.0
    for n in range(len(s) - 1):
        above += math.exp(s[n]) * (math.exp(s[n]) - math.exp(s[n + 1]))
        below += math.exp(s[n])
    return above / below**2


@pytest.mark.parametrize(
    "s", [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [3.0, -2.0, 0.5], [5.0, 4.0, 4.5, -30.0, 2.0, 1.9], [7] * 9]
)
def test_resolution_is_the_formula(s: list[float]) -> None:
    assert attention_resolution(s) == pytest.approx(by_hand(s), rel=1e-12, abs=1e-15)


def test_of_two_scores_it_is_the_step_between_them() -> None:
    assert attention_resolution([2.0, 1.0]) == pytest.approx(1 - math.exp(-1), rel=1e-14)
    assert attention_resolution([1.0, 2.0]) == pytest.approx(1 - math.e, rel=1e-14)


def test_only_differences_of_scores_matter() -> None:
    s = np.random.default_rng(0).normal(size=50)
    for shift in (1e4, -1e4, 750.0):
        assert attention_resolution(s + shift) == pytest.approx(by_hand(list(s)), rel=1e-9)


def test_far_apart_scores_neither_overflow_nor_vanish_by_mistake() -> None:
    assert attention_resolution([1000.0, 0.0]) == 1.0
    assert attention_resolution([1000.0, 0.0, -1000.0]) == 1.0
    assert attention_resolution([0.0, -800.0, 800.0]) == pytest.approx(1.0 - 1.0)  # e^-800 e^800 counts once
    assert attention_resolution([0.0, 1000.0]) == -math.inf


@pytest.mark.parametrize("s", [[], [1.0], 1.0, [[1.0, 2.0]]])
def test_too_few_scores_are_refused(s: Any) -> None:
    with pytest.raises(ValueError, match="distances"):
        attention_resolution(s)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=names("distance 2", bad)):
        attention_resolution([1.0, 0.5, bad, 0.0])


DISTANCES = [0, 1, 2, 7, 100, 511, 512, 1300]


def test_rope_expects_a_sum_of_cosines() -> None:
    found = expected_scores(parse("RoPE(base=1e4)"), 16, DISTANCES, length=2000, num_heads=2)
    assert found.each.shape == (2, len(DISTANCES))
    for n, s in zip(DISTANCES, found.mean, strict=True):
        wanted = sum(2 * math.cos(n * 1e4 ** (-i / 8)) for i in range(8)) / 4
        assert s == pytest.approx(wanted, abs=2e-4)  # angles are right to 3e-5, eight pairs


def test_xpos_lets_each_pair_decay() -> None:
    found = expected_scores(parse("XPos(base=1e4, gamma=0.4, scale_base=64)"), 16, DISTANCES, length=1400)
    for n, s in zip(DISTANCES, found.mean, strict=True):
        zeta = [(2 * i / 16 + 0.4) / 1.4 for i in range(8)]
        wanted = sum(2 * math.cos(n * 1e4 ** (-i / 8)) * zeta[i] ** (n / 64) for i in range(8)) / 4
        assert s == pytest.approx(wanted, abs=2e-4)


def test_heads_differ_where_the_encoding_has_them_differ() -> None:
    found = expected_scores(parse("ALiBi"), 16, [0, 1, 10], num_heads=4)
    slopes = 2.0 ** -np.array([2, 4, 6, 8])
    np.testing.assert_allclose(found.each, 4 - slopes[:, None] * np.array([0, 1, 10]), rtol=1e-6)
    np.testing.assert_allclose(found.mean, 4 - slopes.mean() * np.array([0, 1, 10]), rtol=1e-6)


def test_learned_tables_are_those_of_init() -> None:
    bias = parse("T5Bias(buckets=4, max_distance=8)")
    table = np.asarray(bias.init(jax.random.key(0), num_heads=2, head_dim=16)["table"])
    np.testing.assert_allclose(expected_scores(bias, 16, [0, 1], num_heads=2).each, 4 + table[:2].T, rtol=1e-6)


def test_contextual_scores_see_the_keys_in_between() -> None:
    """Every gate is sigmoid(4), so the key n tokens back stands at contextual position (n + 1) sigmoid(4)."""
    cope = parse("CoPE(max_position=9)")
    table = np.asarray(cope.init(jax.random.key(0), num_heads=1, head_dim=16)["table"], np.float64).sum(-1)
    found = expected_scores(cope, 16, [5, 0, 30], length=40)
    for n, s in zip([5, 0, 30], found.mean, strict=True):
        p = min((n + 1) / (1 + math.exp(-4)), 8)
        share = p - math.floor(p)
        assert s == pytest.approx(4 + (1 - share) * table[math.floor(p)] + share * table[math.ceil(p)], abs=1e-5)


@pytest.mark.parametrize(
    ("spec", "distances", "length", "message"),
    [
        ("RoPE(base=1e4)", [], None, "distances"),
        ("RoPE(base=1e4)", [-1], None, "distances"),
        ("RoPE(base=1e4)", [0.5], None, "distances"),
        ("RoPE(base=1e4)", [3], 3, names("length=3", 4)),
        ("RoPE()", [3], None, "base"),
        ('Sinusoidal(layout="interleaved")', [3], None, "Sinusoidal"),
        ("LearnedAbsolute(max_length=9)", [3], None, "LearnedAbsolute"),
    ],
)
def test_what_has_no_expected_scores_is_refused(spec: str, distances: list, length: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expected_scores(parse(spec), 16, distances, length=length)


TOKENS = np.random.default_rng(3).integers(0, tiny.VOCABULARY, (2, 45)).astype(np.int32)


def over_squares(model: Model, tokens_BT: np.ndarray, length: int, sinks: int = 0) -> np.ndarray:
    """[L, N, T - sinks]: whole squares averaged along their diagonals; queries before the first key have no pair."""
    T = tokens_BT.shape[1]
    inner = [s_BNTT[:, :, sinks:, sinks:] for s_BNTT, _ in squares(model, tokens_BT, length)]
    return np.array([[s.diagonal(-n, 2, 3).mean((0, 2)) for n in range(T - sinks)] for s in inner]).swapaxes(1, 2)


@pytest.mark.parametrize(
    ("spec", "pattern", "length", "block", "sinks"),
    [
        ("RoPE", "Causal()", None, 16, 0),
        ("RoPE", "Causal()", None, 16, 20),  # the same program; blocks in which nothing is counted
        ("XPos(scale_base=12)", "SlidingWindow(window=9)", None, 8, 1),  # two frames in a block of queries
        ('DynamicNTK(factor=2.0, original_length=8, per="query")', "Causal()", None, 16, 0),
        ("DynamicNTK(factor=2.0, original_length=8)", "Causal()", 200, 64, 0),  # one block
        ("Layers((RoPE(), ALiBi()))", "Dilated(segments=(8, 16), rates=(1, 2))", None, 16, 4),
        ("T5Bias", "Causal()", None, 45, 0),
    ],
)
def test_measured_scores_are_the_means_of_whole_squares(
    spec: str, pattern: str, length: int | None, block: int, sinks: int
) -> None:
    model = tiny.lab().swap(spec, pattern).model
    found = measured_scores(model, TOKENS, length=length, block=block, sinks=sinks)
    wanted = over_squares(model, TOKENS, length or TOKENS.shape[1], sinks)
    assert found.each.shape == (2, 4, 45 - sinks)
    np.testing.assert_allclose(found.each, wanted, atol=2e-5, rtol=2e-5)
    np.testing.assert_allclose(found.mean, wanted.mean((0, 1)), atol=2e-5, rtol=2e-5)


def test_contextual_rows_may_be_fewer_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """45 keys against 7 queries at a time: the last rows are padding, and CoPE counts gates over all keys."""
    monkeypatch.setattr("ropelab.evaluation.capture.ROW_SCORES", 7 * 45)
    model = tiny.lab().swap("CoPE(max_position=10)").model
    wanted = over_squares(model, TOKENS, 45)
    np.testing.assert_allclose(measured_scores(model, TOKENS).each, wanted, atol=2e-5, rtol=2e-5)


def test_a_long_text_needs_no_square() -> None:
    """One head's square at 32768 tokens is 4.3 GB; the program's temporaries stay far below, and grow with T."""
    model = tiny.lab().model
    temporaries = functools.partial(needed_bytes, model)
    assert temporaries(32768) < 0.2 * 32768**2
    assert temporaries(32768) < 2.5 * temporaries(16384)


def needed_bytes(model: Model, T: int) -> int:
    shape, side = jax.ShapeDtypeStruct((1, T), np.int32), CaptureSettings((ScoreByDistance(),), 256)
    compiled = capture_layers.lower(model.wiring, side, model.params, shape, length=None).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize(
    ("tokens", "settings", "message"),
    [
        ([[97]], {}, "97"),
        ([1, 2], {}, r"shape \[B, T\]"),
        ([[1, 2]], {"block": 0}, "block=0"),
        ([[1, 2]], {"sinks": 2}, "sinks=2"),
    ],
)
def test_what_cannot_be_measured_is_refused(tokens: list, settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measured_scores(tiny.lab().model, tokens, **settings)


def test_a_kernel_that_wants_shards_is_refused() -> None:
    model = tiny.lab().swap(kernel="Ring()").model
    with pytest.raises(ValueError, match=names("Ring()", "kernel='auto'")):
        measured_scores(model, TOKENS)


def test_positions_that_an_encoding_does_not_have_are_refused() -> None:
    model = tiny.lab().swap("LearnedAbsolute(max_length=40)").model
    with pytest.raises(ValueError, match=names(40, 45)):
        measured_scores(model, TOKENS)
