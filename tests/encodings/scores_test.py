"""Scores of every kind of encoding against `scores.npz`: the papers' equations in float64, checked on released code."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.encodings import (
    ALL,
    FIRE,
    KERPLE,
    PI,
    ALiBi,
    ClippedRoPE,
    CoPE,
    DualChunk,
    DynamicNTK,
    DynamicPI,
    DynamicYaRN,
    Encoding,
    FoPE,
    HoPE,
    LeakyReRoPE,
    LearnedAbsolute,
    Llama3RoPE,
    LogN,
    LongRoPE,
    NoPE,
    NTKByParts,
    NTKMixed,
    PoPE,
    ProportionalRoPE,
    ReRoPE,
    ResonanceRoPE,
    RoPE,
    Sandwich,
    ScalableSoftmax,
    SelfExtend,
    Sinusoidal,
    T5Bias,
    Temperature,
    XPos,
    YaRN,
    scores,
)
from tests.encodings import frozen

ROPE = RoPE(base=1e4)
RAMP: dict[str, Any] = {"base": 1e2, "factor": 4, "original_length": 64}
PER_QUERY: dict[str, Any] = {"original_length": 12, "per": "query", "step": 1}
SHORT, LONG = (1.0, 1.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5), (1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 4.5, 5.0)

ENCODINGS: dict[str, Encoding] = {
    "ntk_by_parts": NTKByParts(**RAMP, beta=8),
    "ntk_mixed": NTKMixed(base=1e4, factor=4),
    "ntk_fixed": NTKMixed(base=1e4, factor=4, b=1),
    "llama3": Llama3RoPE(**RAMP),
    "proportional": ProportionalRoPE(base=1e4, fraction=0.4),
    "resonance_of_pi": ResonanceRoPE(inner=PI(base=1e2, factor=2)),
    "resonance_of_yarn": ResonanceRoPE(inner=YaRN(**RAMP)),
    "clipped": ClippedRoPE(base=1e2, clipped=6),
    "hope": HoPE(base=1e4, original_length=100),
    "dynamic_pi_per_query": DynamicPI(base=1e4, **PER_QUERY),
    "dynamic_ntk_per_query": DynamicNTK(base=1e4, factor=2, **PER_QUERY),
    "dynamic_yarn_per_query": DynamicYaRN(base=1e2, **PER_QUERY),
    "longrope_per_query": LongRoPE(
        base=1e4, factor=4, original_length=12, short_factor=SHORT, long_factor=LONG, per="query"
    ),
    "xpos_half": XPos(base=1e4, pairing="half"),
    "xpos_interleaved": XPos(base=1e4, pairing="interleaved"),
    "xpos_other_constants": XPos(base=1e4, gamma=0.2, scale_base=16),
    "rerope": ReRoPE(base=1e4, window=7),
    "leaky_rerope": LeakyReRoPE(base=1e4, window=7, k=4),
    "self_extend": SelfExtend(base=1e4, group=3, window=8),
    "dual_chunk": DualChunk(base=1e4, chunk=12, local=4),
    "dual_chunk_short_span": DualChunk(base=1e4, chunk=12, local=7),
    "alibi": ALiBi(),
    "t5": T5Bias(),
    "kerple_log": KERPLE(kind="log"),
    "kerple_power": KERPLE(kind="power"),
    "sandwich": Sandwich(),
    "fire": FIRE(threshold=8.0),
    "cope": CoPE(max_position=9),
    "fope": FoPE(base=1e4, original_length=100),
    "pope": PoPE(base=1e4),
    "logn": LogN(inner=ROPE, original_length=8),
    "logn_of_rerope": LogN(inner=ReRoPE(base=1e4, window=7), original_length=8),
    "scalable_softmax": ScalableSoftmax(inner=ROPE),
    "llama4": Temperature(inner=NoPE(), interval=8),
    "ministral": Temperature(inner=ROPE, interval=8, scale=0.2, first=0),
    "sinusoidal_interleaved": Sinusoidal(layout="interleaved"),
    "sinusoidal_concatenated": Sinusoidal(layout="concatenated"),
    "sinusoidal_tensor2tensor": Sinusoidal(layout="tensor2tensor"),
    "learned": LearnedAbsolute(max_length=23),
}
FROZEN_ELSEWHERE = {"NTK", "Layers"}  # in attention.npz; a schedule has no scores of its own


def tables_of(case: frozen.Case) -> dict[str, jax.Array]:
    """The frozen learned tables of a case; KERPLE's two kinds share theirs."""
    folder = f"tables/{'kerple' if 'kerple' in case['method'] else case['method']}/"
    named = frozen.arrays("scores").items()
    return {name.removeprefix(folder): jnp.asarray(x) for name, x in named if name.startswith(folder)}


def found(case: frozen.Case) -> jax.Array:
    """What this library makes of the case's queries, keys and positions."""
    file, encoding, params = frozen.arrays("scores"), ENCODINGS[case["method"]], tables_of(case)
    q_BTNH, k_BSKH, pos_T = file["q"], file["k"], file[f"positions/{case['positions']}"].astype(np.int32)
    if case["what"] == "embedded":
        return encoding.embed(params, q_BTNH.reshape(1, len(pos_T), -1), pos_T[None])[0]
    s_BNTS = scores(encoding, q_BTNH, k_BSKH, pos_T, pos_T, params=params)
    return s_BNTS[0][:, *np.tril_indices(len(pos_T))]


@pytest.mark.parametrize("case", frozen.cases("scores"), ids=lambda case: case["name"])
def test_frozen_scores(case):
    """To 2e-5 of the largest; where a bias of 10^10 would hide all else, to 1e-6 of each entry instead."""
    expected = frozen.arrays("scores")[f"cases/{case['name']}"]
    largest = min(float(np.abs(expected).max()), 30.0)
    np.testing.assert_allclose(found(case), expected, rtol=1e-6, atol=2e-5 * largest)


def test_every_encoding_is_frozen_somewhere():
    assert {case["method"] for case in frozen.cases("scores")} == set(ENCODINGS)
    here = {type(part) for e in ENCODINGS.values() for part in (e, getattr(e, "inner", e))}
    assert {type(e).__name__ for e in ALL if type(e) not in here} == FROZEN_ELSEWHERE


@pytest.mark.parametrize("buckets, reach", [(32, 128), (32, 256), (64, 1024), (16, 64)])
def test_t5_buckets(buckets, reach):
    """Of every distance to 1200, as transformers counts them: the table holds the bucket's own number."""
    expected = frozen.arrays("scores")[f"t5_buckets/{buckets}/{reach}"]
    distances, last = np.arange(len(expected)), np.array([len(expected) - 1])
    q_BTNH, k_BSKH = (np.zeros((1, length, 1, 2), np.float32) for length in (1, len(expected)))
    params = {"table": jnp.arange(buckets, dtype=jnp.float32)[:, None]}
    s_BNTS = scores(T5Bias(buckets=buckets, max_distance=reach), q_BTNH, k_BSKH, last, last - distances, params=params)
    np.testing.assert_array_equal(s_BNTS[0, 0, 0], expected)
