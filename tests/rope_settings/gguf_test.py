"""GGUF keys given as a mapping are read as those of a file are, and nothing that looks like one is passed over."""

from typing import Any

import numpy as np
import pytest

from ropelab import rope_settings
from ropelab.checkpoints import CheckpointError
from ropelab.encodings import NTK, PI, Encoding, Llama3RoPE, RoPE, YaRN
from ropelab.rope_settings import gguf
from tests.errors import names


def keys(**values: Any) -> dict[str, Any]:
    return {f"llama.rope.{name.replace('__', '.')}": value for name, value in values.items()}


YARN = keys(freq_base=1e4, scaling__type="yarn", scaling__factor=4.0, scaling__original_context_length=2048)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, RoPE(base=1e4)),
        (keys(freq_base=500000), RoPE(base=5e5)),
        (keys(freq_base=1e4, dimension_count=32), RoPE(base=1e4, rotary_dim=32)),
        (keys(scaling__type="linear", scaling__factor=4), PI(base=1e4, factor=4)),
        (keys(scale_linear=4.0), PI(base=1e4, factor=4)),
        (YARN, YaRN(base=1e4, factor=4, original_length=2048)),
        (YARN | keys(scaling__finetuned=True), YaRN(base=1e4, factor=4, original_length=2048)),
        (
            keys(scaling__type="yarn", scaling__factor=4.0) | {"llama.context_length": 512},
            YaRN(base=1e4, factor=4, original_length=512),
        ),
        ({"qwen2.rope.freq_base": 1e6, "qwen2.context_length": 512, "general.name": "x"}, RoPE(base=1e6)),
    ],
)
def test_keys_and_what_they_mean(metadata: dict[str, Any], expected: Encoding) -> None:
    assert rope_settings.from_gguf(metadata, head_dim=64) == expected


def test_the_context_length_goes_along() -> None:
    written = rope_settings.to_gguf(PI(base=1e4, factor=2), head_dim=64, context_length=8192)
    assert gguf.read(written, head_dim=64) == rope_settings.Setting(PI(base=1e4, factor=2), 8192)


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_llama_3_is_a_table_of_divisors(factor: float) -> None:
    """As llama.cpp's converter computes them: 1 where nothing changes, the factor where all is interpolated."""
    encoding = Llama3RoPE(base=5e5, factor=factor, original_length=8192)
    divisors = np.array(rope_settings.to_gguf(encoding, head_dim=128)["rope_freqs.weight"])
    wavelengths = 2 * np.pi * 5e5 ** (np.arange(0, 128, 2) / 128)
    kept = np.clip((8192 / wavelengths - 1) / 3, 0, 1)
    np.testing.assert_allclose(divisors, 1 / ((1 - kept) / factor + kept), rtol=1e-12)


def test_ntk_is_a_larger_base() -> None:
    assert rope_settings.to_gguf(NTK(base=1e4, alpha=2), head_dim=128)["llama.rope.freq_base"] == pytest.approx(
        20221.26, abs=0.01
    )


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (keys(freq_bas=1e4), names("'llama.rope.freq_bas'", "llama.rope.freq_base?")),
        (keys(freq_base_swa=1e4), "'llama.rope.freq_base_swa'"),
        (keys(freq_base=1e4) | {"qwen2.rope.freq_base": 1e6}, "llama, qwen2"),
        (keys(freq_base="1e4"), "freq_base"),
        (keys(scaling__type="longrope"), "'longrope'"),
        (keys(scaling__type="yarn", scaling__factor=4.0), "scaling.original_context_length"),
        (YARN | keys(scaling__yarn_attn_factor=0.7), names("yarn_attn_factor", "attn_factor")),
        (YARN | {"llama.attention.key_length": 128}, names("64", "head_dim=128")),
        (keys(freq_base=10**400), "freq_base|too large"),
        ({"rope_freqs.weight": {"a": 1}}, "GGUF metadata: float"),
        ({"llama.context_length": "8k"}, "context_length='8k'"),
        (keys(freq_base=5e5) | {"rope_freqs.weight": [2.0] * 32}, "rope_freqs"),
    ],
)
def test_what_would_be_ignored_or_guessed_is_refused(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        rope_settings.from_gguf(metadata, head_dim=64)
