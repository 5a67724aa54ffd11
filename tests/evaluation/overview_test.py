"""What a portrait holds: counts, layers until a token is reached, wavelengths, and a resolution for every curve."""

import numpy as np
import pytest

from ropelab import attention
from ropelab.encodings import Encoding, parse
from ropelab.evaluation.overview import (
    counts_by_head,
    expected_curves,
    layers_until_reached,
    make_overview,
    resolution_records,
    rotary_wavelengths,
)
from ropelab.evaluation.record import Protocol
from ropelab.evaluation.resolution import ScoresByDistance, attention_resolution
from tests.errors import names

DILATED = "Dilated(segments=(4, 8), rates=(1, 2))"


def test_counts_are_the_pattern_s_for_every_head() -> None:
    counts = counts_by_head(attention.parse(DILATED), 3, 8)
    assert counts.shape == (3, 8, 8)
    for h in range(3):
        for i in range(8):
            for j in range(8):
                far = i % 2 == j % 2 == h % 2
                assert counts[h, i, j] == ((i // 4 == j // 4) + far if j <= i else 0)


def test_reach_is_the_shortest_path_through_any_head() -> None:
    """By hand: query i reads itself and what it sees, so each layer looks one step further."""
    counts = counts_by_head(attention.parse(DILATED), 2, 11)
    needed = layers_until_reached(counts, 3)
    seen = [{int(j) for j in np.flatnonzero(counts[:, i].any(0))} for i in range(11)]
    reached = [{i} for i in range(11)]
    for layer in range(1, 4):
        reached = [set.union(reached[i], *(reached[j] for j in seen[i])) for i in range(11)]
        for i in range(11):
            assert {int(j) for j in np.flatnonzero((needed[i] >= 0) & (needed[i] <= layer))} == reached[i]
    assert (needed.diagonal() == 0).all()
    assert (needed[8:, :8] == -1).all()  # the next segment of the longest branch


def test_a_window_reaches_as_far_as_its_layers_add_up() -> None:
    needed = layers_until_reached(counts_by_head(attention.parse("SlidingWindow(window=4)"), 1, 20), 3)
    assert [int(n) for n in needed[19, 8:]] == [-1, -1, *[3] * 3, *[2] * 3, *[1] * 3, 0]


def test_a_token_that_no_head_sees_is_carried_by_the_residual_stream() -> None:
    assert layers_until_reached(np.zeros((2, 3, 3), int), 2).tolist() == [[0, -1, -1], [-1, 0, -1], [-1, -1, 0]]


@pytest.mark.parametrize(("heads", "tokens"), [(0, 8), (2, 0), (2, 513)])
def test_squares_that_cannot_be_drawn_are_refused(heads: int, tokens: int) -> None:
    with pytest.raises(ValueError, match=names(heads, tokens)):
        counts_by_head(attention.Causal(), heads, tokens)


def test_no_layer_reaches_nothing() -> None:
    with pytest.raises(ValueError, match="layers=0"):
        layers_until_reached(np.ones((1, 2, 2), int), 0)


def named(*texts: str) -> dict[str, Encoding]:
    return {text: parse(text) for text in texts}


def test_wavelengths_are_of_what_rotates() -> None:
    found = rotary_wavelengths(
        named("RoPE(base=1e4)", "ALiBi", "LogN(inner=PI(base=1e4, factor=2.0), original_length=9)"), 16, 64
    )
    plain = 2 * np.pi * 1e4 ** (np.arange(8) / 8)
    np.testing.assert_allclose(found.pop("RoPE(base=1e4)"), plain)
    (((_, stretched)),) = found.items()
    np.testing.assert_allclose(stretched, 2 * plain)


def test_a_schedule_is_shown_kind_by_kind() -> None:
    found = rotary_wavelengths(named("Layers((RoPE(base=1e4), NoPE(), RoPE(base=1e4)))"), 16, 64)
    assert list(found) == ["Layers((RoPE(base=1e4), NoPE(), RoPE(base=1e4))): RoPE(base=10000.0)"]


def test_every_curve_has_its_resolutions() -> None:
    encodings, rng = named("ALiBi"), np.random.default_rng(0)
    expected = expected_curves(encodings, (8, 12), 16, 2)
    each = rng.normal(size=(3, 2, 9))
    rows = resolution_records(expected, {"ALiBi": {12: ScoresByDistance(np.arange(9), each)}}, Protocol(method="how"))
    found = {(r.metric, r.length): r.value for r in rows}
    assert len(rows) == 4
    assert all(r.variant == "ALiBi" and r.protocol.line() == "how" for r in rows)
    assert found["expected", 12] == attention_resolution(expected["ALiBi"][12].mean)
    assert found["measured", 12] == attention_resolution(each.mean((0, 1)))
    assert found["median_head", 12] == np.median([attention_resolution(s) for s in each.reshape(6, 9)])


def test_a_portrait_draws_the_longest_curves() -> None:
    expected = expected_curves(named("NoPE"), (4, 6), 16, 2)
    drawn = make_overview(attention.Causal(), expected, {}, {}, num_heads=2, tokens=5, layers=1)
    assert drawn.expected["NoPE"].tolist() == [4.0] * 6
    assert drawn.counts_NTT.shape == (2, 5, 5)
    assert (drawn.reach_TT == np.tril(np.ones((5, 5)), -1) - np.triu(np.ones((5, 5)), 1)).all()
    assert drawn.measured == {}
