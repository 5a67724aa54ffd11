"""Hugging Face's rope settings, in either of their forms, become the encoding they mean, or are refused by name."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ropelab import rope_settings
from ropelab.checkpoints import CheckpointError
from ropelab.encodings import PI, DynamicNTK, Encoding, Llama3RoPE, RoPE, YaRN
from tests.errors import names

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "frequencies.npz"))
L0 = "original_max_position_embeddings"
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, L0: 32}
MEANINGS: list[tuple[str, dict[str, Any], Encoding]] = [
    ("default", {}, RoPE(base=5e5)),
    ("linear", {"factor": 2}, PI(base=5e5, factor=2.0)),
    ("dynamic", {"factor": 4.0}, DynamicNTK(base=5e5, factor=4.0, original_length=4096)),
    ("dynamic", {"factor": 4.0, L0: 1024}, DynamicNTK(base=5e5, factor=4.0, original_length=4096)),
    ("yarn", {"factor": 4.0, L0: 1024}, YaRN(base=5e5, factor=4.0, original_length=1024)),
    (
        "yarn",
        {"factor": 4.0, L0: 1024, "beta_fast": 8, "beta_slow": 2, "truncate": False, "attention_factor": 1.3},
        YaRN(base=5e5, factor=4, original_length=1024, beta_fast=8, beta_slow=2, truncate=False, attention_factor=1.3),
    ),
    (
        "yarn",
        {"factor": 4.0, L0: 1024, "mscale": 1.0, "mscale_all_dim": 0.8, "attention_factor": None},
        YaRN(base=5e5, factor=4.0, original_length=1024, mscale=1.0, mscale_all_dim=0.8),
    ),
    ("llama3", LLAMA3, Llama3RoPE(base=5e5, factor=8.0, original_length=32)),
]
ABOUT = {"model_type": "llama", "max_position_embeddings": 4096}


@pytest.mark.parametrize(("kind", "rope", "expected"), MEANINGS)
def test_every_form_of_a_setting_is_the_same_encoding(kind: str, rope: dict, expected: Encoding) -> None:
    """transformers 5, then transformers 4 with the newer and the older key for the type."""
    v5 = {"rope_parameters": {"rope_type": kind, "rope_theta": 5e5} | rope}
    v4 = [{"rope_theta": 5e5, "rope_scaling": {key: kind} | rope} for key in ("rope_type", "type")]
    for form in (v5, *v4):
        assert rope_settings.from_hf(ABOUT | form) == expected


@pytest.mark.parametrize("scaling", [{}, {"rope_scaling": None}, {"rope_scaling": {}}])
def test_a_llama_1_says_nothing_and_means_base_10000(scaling: dict) -> None:
    assert rope_settings.from_hf(ABOUT | scaling) == RoPE(base=1e4)


def test_the_original_length_may_stand_beside_the_rope_settings() -> None:
    config = ABOUT | {L0: 1024, "rope_scaling": {"type": "yarn", "factor": 4.0}}
    assert rope_settings.from_hf(config) == YaRN(base=1e4, factor=4.0, original_length=1024)


def test_two_forms_that_agree_are_read() -> None:
    rope = {"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5}
    assert rope_settings.from_hf({"rope_parameters": rope, "rope_scaling": rope, "rope_theta": 500000}) == PI(
        base=5e5, factor=2
    )


def v5(kind: Any, **rope: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 1e4} | rope}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (v5("linear", factro=2.0), names("'factro'", "factor?")),
        (v5("linear", factor=2.0, beta_fast=32.0), names("'linear'", "'beta_fast'")),
        (v5("default", factor=2.0), names("'default'", "'factor'")),
        (v5("yran", factor=2.0), names("'yran'", "yarn")),
        (v5("longrope", factor=2.0), names("'longrope'", "long_factor", L0, "short_factor")),
        (v5("axial"), "'axial'"),
        (v5("linear"), names("'linear'", "factor")),
        (v5("linear", factor=None), names("'linear'", "factor")),
        (v5("yarn", factor=2.0), names("'yarn'", L0)),
        (v5("llama3", factor=8.0), names("'llama3'", "high_freq_factor", "low_freq_factor")),
        (v5("dynamic", factor=2.0), "max_position_embeddings"),
        (v5("linear", factor=0.5), "factor=0.5"),
        (v5("linear", factor="2"), "factor='2'"),
        (v5("yarn", factor=2.0, mscale=1.0, **{L0: 32}), "mscale_all_dim=None"),
        (v5("yarn", factor=2.0, mscale_all_dim=1.0, **{L0: 32}), names("mscale", "mscale_all_dim")),
        (v5("linear", factor=2.0) | {"rope_theta": 5e5}, names("rope_theta", 10000.0, 500000.0)),
        (v5("linear", factor=2.0, type="yarn"), names("'linear'", "'yarn'")),
        (
            v5("linear", factor=2.0) | {"rope_scaling": {"type": "linear", "factor": 4.0}},
            names("rope_parameters", "rope_scaling"),
        ),
        ({"rope_parameters": {"full_attention": v5("default")["rope_parameters"]}}, "full_attention"),
        (v5("default", partial_rotary_factor=0.5), "partial_rotary_factor"),
        (v5("default") | {"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        (v5(["yarn"]), "yarn"),
        (v5(None), "None"),
        ({"rope_theta": "10000"}, "base='10000'"),
        ({"rope_theta": 1}, "base=1.0"),
        ({"rope_theta": {"a": 1}}, "'a': 1"),
        ({"rope_scaling": "linear"}, names("rope_scaling", "str")),
        ({"rope_parameters": [2.0]}, names("rope_parameters", "list")),
    ],
)
def test_a_setting_that_would_be_ignored_or_guessed_is_refused(config: dict, message: str) -> None:
    """The field's commonest fault: a rope setting accepted, and never applied."""
    with pytest.raises(CheckpointError, match=message):
        rope_settings.from_hf(config)


# What transformers accepts and does not apply: half a pair of mscales, and a pair that is overruled. The numbers are
# those of tests/golden/frequencies.npz.
READ = {"default": 12, "linear": 48, "dynamic": 480, "yarn": 234, "llama3": 98, "longrope": 28}
REFUSED = {"yarn": 20}


def cases() -> list[tuple[int, dict[str, Any]]]:
    every = enumerate(map(json.loads, GOLDEN["cases"]))
    return [(row, case) for row, case in every if case["source"] == "transformers"]


def is_refused(config: dict[str, Any]) -> bool:
    rope = config["rope_parameters"]
    pair = [rope.get("mscale"), rope.get("mscale_all_dim")]
    return any(pair) and (not all(pair) or "attention_factor" in rope)


def test_frequencies_are_those_of_transformers() -> None:
    """Every frozen case that can be read has its frequencies to a float32 and its attention factor exactly."""
    read: Counter[str] = Counter()
    for row, case in cases():
        if is_refused(case["config"]):
            continue
        read[case["kind"]] += 1
        encoding, dim = rope_settings.from_hf(case["config"]), case["head_dim"]
        inv_freq, amplitude = encoding.frequencies(dim, case["seq_len"] or 1)  # type: ignore[attr-defined]
        np.testing.assert_allclose(inv_freq, GOLDEN["inv_freq"][row, : dim // 2], rtol=3e-6, err_msg=str(case))
        assert amplitude == pytest.approx(GOLDEN["attention_factor"][row], rel=1e-6), case
    assert read == READ


def test_the_other_frozen_cases_are_refused() -> None:
    refused: Counter[str] = Counter()
    for _, case in cases():
        if is_refused(case["config"]):
            refused[case["kind"]] += 1
            with pytest.raises(CheckpointError):
                rope_settings.from_hf(case["config"])
    assert refused == REFUSED
