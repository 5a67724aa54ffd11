"""The two scores of a head against rope-profiler's, and against sums written out for what it cannot measure."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.encodings import parse
from ropelab.encodings.rotary import Rotary
from ropelab.evaluation.head_scores import (
    compute_sensitivity,
    compute_stability,
    head_scores,
    pair_norms,
    scores_by_distance,
)
from tests.models import tiny

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "measures.npz"))
CASES = [json.loads(case) for case in GOLDEN["head_scores/cases"]]
Q, K, WINDOW = GOLDEN["head_scores/q"], GOLDEN["head_scores/k"], int(GOLDEN["head_scores/window"])
TOKENS = np.random.default_rng(3).integers(0, tiny.VOCABULARY, (2, 45)).astype(np.int32)


def scored(spec: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    encoding = parse(spec)
    curves = np.asarray(scores_by_distance(encoding, {}, jnp.asarray(Q), jnp.asarray(K), WINDOW), np.float64)
    return *compute_stability(curves), compute_sensitivity(curves, pair_norms(encoding, Q, K, WINDOW))


@pytest.mark.parametrize("number", range(3))
def test_rotary_heads_are_scored_as_by_rope_profiler(number: int) -> None:
    case = CASES[number]
    pairing = {"split_half": "half", "interleaved": "interleaved"}[case["layout"]]
    spec = f"RoPE(base={case['base']}, pairing={pairing!r}, rotary_dim={case['rotary_dim']})"
    normal, counted, steps = scored(spec)
    np.testing.assert_allclose(normal, GOLDEN[f"head_scores/{number}/semantic"], atol=2e-6)
    np.testing.assert_allclose(steps, GOLDEN[f"head_scores/{number}/positional"], rtol=1e-5)
    assert np.abs(counted - normal).max() < 0.1, "a normal distribution is near the truth, and is not it"


def test_an_amplitude_divides_out() -> None:
    """Scores and norm both carry its square: rope-profiler's with 1.13 are those of a plain RoPE."""
    assert CASES[3]["rope_scale"] == 1.13
    np.testing.assert_allclose(scored("RoPE(base=10000.0)")[2], GOLDEN["head_scores/3/positional"], rtol=1e-5)
    yarn = parse("YaRN(base=10000.0, factor=4.0, original_length=100)")
    assert isinstance(yarn, Rotary)
    louder = pair_norms(yarn, Q, K, WINDOW) / pair_norms(parse("RoPE(base=10000.0)"), Q, K, WINDOW)
    np.testing.assert_allclose(louder, float(yarn.frequencies(16, WINDOW)[1]) ** 2, rtol=1e-6)


def test_a_head_without_position_is_stable_and_insensitive() -> None:
    normal, counted, steps = scored("NoPE()")
    np.testing.assert_array_equal(normal, np.ones(4))
    np.testing.assert_array_equal(counted, np.ones(4))
    np.testing.assert_array_equal(steps, np.zeros(4))


def test_a_bias_moves_all_keys_alike() -> None:
    """ALiBi takes as much from every key, so no order changes, and each step costs the slope."""
    normal, counted, steps = scored("ALiBi()")
    np.testing.assert_allclose(normal, np.ones(4), atol=1e-6)
    np.testing.assert_allclose(counted, np.ones(4))
    inverse = (1 / pair_norms(parse("ALiBi()"), Q, K, WINDOW)).mean(axis=(0, 2))
    np.testing.assert_allclose(steps, 2.0 ** -np.array([2, 4, 6, 8]) * inverse, rtol=1e-3)


@pytest.mark.parametrize("spec", ["RoPE", "T5Bias", "Layers((RoPE(), ALiBi()))"])
def test_every_head_of_a_model_has_both(spec: str) -> None:
    found = head_scores(tiny.lab().swap(spec).model, TOKENS, queries=3, keys=4)
    for part in found:
        assert part.shape == (2, 4)
        assert (part >= 0).all()
    assert (found.normal <= 1).all()


def test_it_is_the_models_own_queries_and_keys_that_count() -> None:
    """Layer 0 by hand: the token's embedding, projected."""
    model = tiny.lab().model
    rng = np.random.default_rng(0)
    asked = rng.integers(4, 45, (2, 3))
    known = np.stack([[rng.choice(t + 1, 4, replace=False) for t in row] for row in asked])
    layer = {name: leaf[0] for name, leaf in model.params["layers"].items()}
    q, k, _ = model.config.family.projections(model.config, layer, model.params["embedding"][TOKENS])
    rows = np.arange(2)[:, None]
    q_QNH = np.asarray(q)[rows, asked].reshape(6, 4, -1)
    k_QSKH = np.asarray(k)[rows[..., None], known].reshape(6, 4, 2, -1)
    encoding = model.wiring.encoding
    curves = np.asarray(scores_by_distance(encoding, {}, jnp.asarray(q_QNH), jnp.asarray(k_QSKH), 32), np.float64)
    found = head_scores(model, TOKENS, queries=3, keys=4)
    np.testing.assert_allclose(found.counted[0], compute_stability(curves)[1], atol=1e-6)
    np.testing.assert_allclose(
        found.sensitivity[0], compute_sensitivity(curves, pair_norms(encoding, q_QNH, k_QSKH, 32)), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keys": 3}, "keys=3"),
        ({"window": 1}, "window=1"),
        ({"keys": 46}, "47"),
    ],
)
def test_what_cannot_be_scored_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        head_scores(tiny.lab().model, TOKENS, **settings)


def test_contextual_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="CoPE"):
        head_scores(tiny.lab().swap("CoPE(max_position=10)").model, TOKENS)
