"""What taps keep, block by block, against whole squares of scores and weights."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.evaluation.attention_taps import (
    Entropy,
    MassByDistance,
    Queries,
    ScoreByDistance,
    SeenByDistance,
    SinkMass,
)
from ropelab.evaluation.capture import Block, Tap, capture
from ropelab.models.module import Model, Parameters
from ropelab.spec import spec
from tests.errors import names
from tests.evaluation.squares import squares
from tests.models import tiny

T = 45
TOKENS = np.random.default_rng(3).integers(0, tiny.VOCABULARY, (2, T)).astype(np.int32)
SINKS = 3
TAPS = {
    "s": ScoreByDistance(sinks=SINKS),
    "seen": SeenByDistance(sinks=SINKS),
    "a": MassByDistance(),
    "sink": SinkMass(sinks=SINKS),
    "H": Entropy(),
    "rows": Queries(at=(0, 7, 44)),
}


def by_distance(x_BNTT: np.ndarray, sinks: int) -> np.ndarray:
    inner = x_BNTT[:, :, sinks:, sinks:]
    return np.stack([inner.diagonal(-n, 2, 3).mean(-1) for n in range(T - sinks)], -1)


def seen_by_distance(s_BNTT: np.ndarray, p_BNTT: np.ndarray, sinks: int) -> np.ndarray:
    s, seen = np.where(p_BNTT > 0, s_BNTT, 0.0)[:, :, sinks:, sinks:], (p_BNTT > 0)[:, :, sinks:, sinks:]
    sums, pairs = (np.stack([x.diagonal(-n, 2, 3).sum(-1) for n in range(T - sinks)], -1) for x in (s, seen))
    return np.where(pairs, sums / np.maximum(pairs, 1), np.nan)


def entropy(p_BNTT: np.ndarray) -> np.ndarray:
    return -np.sum(p_BNTT * np.log(np.where(p_BNTT > 0, p_BNTT, 1.0)), -1)


@pytest.mark.parametrize(
    ("encoding", "pattern", "block"),
    [
        ("RoPE", "Causal()", 16),
        ("XPos(scale_base=12)", "SlidingWindow(window=9)", 8),  # two frames in a block of queries
        ("Layers((RoPE(), ALiBi()))", "Dilated(segments=(8, 16), rates=(1, 2))", 16),  # some keys counted twice
        ("CoPE(max_position=10)", "Causal()", 7),
        ('DynamicNTK(factor=2.0, original_length=8, per="query")', "Causal()", 64),
    ],
)
def test_taps_keep_what_whole_squares_have(encoding: str, pattern: str, block: int) -> None:
    model = tiny.lab().swap(encoding, pattern).model
    found = capture(model, TOKENS, TAPS, block=block)
    for layer, (s, p) in enumerate(squares(model, TOKENS, T)):
        close = {"atol": 2e-5, "rtol": 2e-5}
        np.testing.assert_allclose(found["s"][layer], by_distance(s, SINKS), **close)
        np.testing.assert_allclose(found["seen"][layer], seen_by_distance(s, p, SINKS), **close)
        np.testing.assert_allclose(found["a"][layer], by_distance(p, 0), **close)
        np.testing.assert_allclose(found["sink"][layer], p[:, :, SINKS:, :SINKS].sum(-1).mean(-1), **close)
        np.testing.assert_allclose(found["H"][layer], entropy(p), **close)
        at = [0, 7, 44]
        np.testing.assert_allclose(found["rows"].scores[layer], np.tril(s)[:, :, at], **close)
        np.testing.assert_allclose(found["rows"].weights[layer], p[:, :, at], **close)


def test_mass_and_entropy_of_equal_scores_are_known() -> None:
    """Without position and with equal tokens every key weighs the same: p = 1 / (i + 1), H = log(i + 1)."""
    model = tiny.lab().swap("NoPE").model
    found = capture(model, np.full((1, T), 5, np.int32), {"H": Entropy(), "a": MassByDistance(), "sink": SinkMass()})
    i = np.arange(T)
    np.testing.assert_allclose(found["H"], np.broadcast_to(np.log(i + 1), found["H"].shape), atol=1e-4)
    mass = [np.mean(1 / (i[n:] + 1)) for n in i]
    np.testing.assert_allclose(found["a"], np.broadcast_to(mass, found["a"].shape), atol=1e-5)
    np.testing.assert_allclose(found["sink"], np.full(found["sink"].shape, np.mean(4 / (i[4:] + 1))), atol=1e-5)


def test_sink_logits_take_their_share() -> None:
    """A learned sink in the denominator: what is left for keys is what the model's own attention gives them."""
    model = tiny.lab().model
    layers = dict(model.params["layers"]) | {"sink_logits": jnp.full((2, 4), 1.5)}
    with_sinks = Model(model.wiring, Parameters(dict(model.params) | {"layers": layers}))
    plain, sunk = (capture(m, TOKENS, {"r": Queries(at=(44,))})["r"] for m in (model, with_sinks))
    s = plain.scores[0, :, :, 0]
    np.testing.assert_allclose(
        sunk.weights[0, :, :, 0], np.exp(s) / (np.exp(s).sum(-1, keepdims=True) + np.exp(1.5)), atol=1e-6
    )


@spec
class Largest(Tap):
    """A user's own: the largest score of each head."""

    weighs: ClassVar[bool] = False

    def begin(self, B: int, N: int, T: int) -> jnp.ndarray:
        return jnp.full((B, N), -jnp.inf)

    def add(self, kept: jnp.ndarray, block: Block) -> jnp.ndarray:
        return jnp.maximum(kept, jnp.max(jnp.where(block.causal, block.scores, -jnp.inf), axis=(2, 3)))

    def finish(self, kept: np.ndarray, T: int) -> np.ndarray:
        return kept


def test_a_tap_of_ones_own_needs_three_functions() -> None:
    model = tiny.lab().model
    found = capture(model, TOKENS, {"largest": Largest()}, block=16)["largest"]
    for layer, (s, _) in enumerate(squares(model, TOKENS, T)):
        below = np.where(np.tri(T, dtype=bool), s, -np.inf)
        np.testing.assert_allclose(found[layer], below.max((2, 3)), rtol=1e-5)


@pytest.mark.parametrize(
    ("taps", "message"),
    [
        ({}, "tap"),
        ({"q": Queries(at=())}, names("()", 44)),
        ({"q": Queries(at=(45,))}, names(45, 44)),
        ({"sink": SinkMass(sinks=45)}, names("sinks=45", 44)),
    ],
)
def test_what_cannot_be_tapped_is_refused(taps: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        capture(tiny.lab().model, TOKENS, taps)
