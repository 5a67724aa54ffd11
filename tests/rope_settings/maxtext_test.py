"""MaxText's keys mean what MaxText does with them, its own defaults included."""

from typing import Any

import pytest

from ropelab import rope_settings
from ropelab.checkpoints import CheckpointError
from ropelab.encodings import NTK, PI, Encoding, Layers, Llama3RoPE, NoPE, RoPE, YaRN
from ropelab.rope_settings import maxtext
from tests.errors import names

GPT_OSS = {
    "rope_type": "yarn", "rope_max_timescale": 150000, "original_max_position_embeddings": 4096, "rope_factor": 32,
    "max_position_embeddings": 131072, "beta_fast": 32, "beta_slow": 1, "rope_truncate": False,
    "rope_attention_scaling": True, "rope_interleave": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, RoPE(base=1e4)),
        ({"rope_max_timescale": 500_000}, RoPE(base=5e5)),
        ({"rope_linear_scaling_factor": 8.0}, PI(base=1e4, factor=8)),
        ({"rope_type": "llama3.1", "rope_max_timescale": 500000}, Llama3RoPE(base=5e5, factor=8, original_length=8192)),
        ({"rope_type": "llama3.1", "rope_use_scale": False}, RoPE(base=1e4)),
        (GPT_OSS, YaRN(base=150000, factor=32, original_length=4096, truncate=False)),
        (
            {"rope_type": "yarn"},
            YaRN(base=1e4, pairing="interleaved", factor=40, original_length=4096, attention_factor=1.0),
        ),
        (
            {"rope_type": "llama3.1", "nope_layer_interval": 4, "decoder_block": "llama4"},
            Layers((Llama3RoPE(base=1e4, factor=8, original_length=8192),) * 3 + (NoPE(),)),
        ),
    ],
)
def test_keys_and_what_they_mean(keys: dict[str, Any], expected: Encoding) -> None:
    assert rope_settings.from_maxtext(keys) == expected


def test_the_context_length_goes_along_and_the_table_reaches_as_far() -> None:
    encoding = YaRN(base=1e4, factor=4, original_length=4096)
    written = rope_settings.to_maxtext(encoding, head_dim=64, context_length=32768)
    assert maxtext.read(written) == rope_settings.Setting(encoding, 32768)
    assert written["max_position_embeddings"] == 32768  # rows of a table; positions beyond would be clamped
    assert rope_settings.to_maxtext(encoding, head_dim=64)["max_position_embeddings"] == 16384


def test_the_canonical_form_comes_back() -> None:
    assert rope_settings.to_maxtext(rope_settings.from_maxtext(GPT_OSS), head_dim=64) == GPT_OSS


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rope_max_timescle": 10000}, names("'rope_max_timescle'", "rope_max_timescale?")),
        ({"rope_type": "llama3"}, names("'llama3'", "llama3.1?")),
        ({"rope_factor": 8}, names("rope_factor=8", "'default'")),
        ({"rope_type": "yarn", "rope_linear_scaling_factor": 2.0}, names("rope_linear_scaling_factor=2.0", "'yarn'")),
        ({"rope_type": "yarn", "mscale": 0.7}, "mscale=0.7"),
        ({"rope_type": "yarn", "rope_factor": 2.5}, "rope_factor=2.5"),
        ({"rope_max_timescale": 20221.26}, "rope_max_timescale=20221.26"),
        ({"rope_max_timescale": float("inf")}, "rope_max_timescale=inf"),
        ({"rope_max_timescale": "10000"}, "rope_max_timescale='10000'"),
        ({"local_rope_max_timescale": 10000}, "local_rope_max_timescale=10000"),
        ({"partial_rotary_factor": 0.25}, "partial_rotary_factor=0.25"),
        ({"nope_layer_interval": 4}, names("nope_layer_interval", "llama4", "None")),
        ({"nope_layer_interval": "4"}, "nope_layer_interval='4'"),
        ({"rope_type": "yarn", "beta_fast": 1}, names("beta_fast", "beta_slow")),
    ],
)
def test_what_would_be_ignored_or_guessed_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        rope_settings.from_maxtext(keys)


def test_an_ntk_base_has_to_be_rounded_first() -> None:
    with pytest.raises(CheckpointError, match=r"20221\.2"):
        rope_settings.to_maxtext(NTK(base=1e4, alpha=2), head_dim=128)
    assert rope_settings.to_maxtext(RoPE(base=20221), head_dim=128)["rope_max_timescale"] == 20221
