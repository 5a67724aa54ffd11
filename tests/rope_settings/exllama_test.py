"""alpha_value and compress_pos_emb apply together, in any order of asking, for any head and base."""

from typing import Any

import numpy as np
import pytest

from ropelab import rope_settings
from ropelab.checkpoints import CheckpointError
from ropelab.encodings import NTK, PI, Encoding, RoPE
from ropelab.rope_settings import exllama
from tests.errors import names


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, RoPE()),
        ({"base": 5e5}, RoPE(base=5e5)),
        ({"alpha_value": 2}, NTK(alpha=2)),
        ({"alpha_value": 2, "base": 1e4}, NTK(base=1e4, alpha=2)),
        ({"compress_pos_emb": 4, "base": 1e4}, PI(base=1e4, factor=4)),
        ({"alpha_value": 2, "compress_pos_emb": 4, "base": 1e4}, PI(base=1e4 * 2 ** (64 / 62), factor=4)),
        ({"rope_freq_base": 40000, "base": 1e4}, RoPE(base=4e4)),
        ({"rope_freq_base": 40000, "compress_pos_emb": 2}, PI(base=4e4, factor=2)),
    ],
)
def test_knobs_and_what_they_mean(given: dict[str, Any], expected: Encoding) -> None:
    assert rope_settings.from_exllama(**given, head_dim=64) == expected


@pytest.mark.parametrize("dim", [64, 80, 128])
@pytest.mark.parametrize("base", [1e4, 1e6])
@pytest.mark.parametrize("alpha", [1.0, 2.0, 2.65])
@pytest.mark.parametrize("compress", [1.0, 2.0])
def test_the_frequencies_are_exllama_s(dim: int, base: float, alpha: float, compress: float) -> None:
    """The enlarged base and the divided positions, pair by pair; then the knobs come back from the encoding."""
    encoding = rope_settings.from_exllama(alpha_value=alpha, compress_pos_emb=compress, head_dim=dim, base=base)
    rotary_base = base * alpha ** (dim / (dim - 2))
    expected = [rotary_base ** (-2 * i / dim) / compress for i in range(dim // 2)]
    np.testing.assert_allclose(encoding.frequencies(dim, 0)[0], expected, rtol=1e-13)  # type: ignore[attr-defined]
    assert rope_settings.to_exllama(encoding, head_dim=dim, base=base) == {
        "alpha_value": alpha,
        "compress_pos_emb": compress,
    }


@pytest.mark.parametrize(("alpha", "enlarged"), [(2, 20221.26), (4, 40889.94), (8, 82684.62)])
def test_the_bases_that_circulate_are_those_of_128_dimensions(alpha: float, enlarged: float) -> None:
    found = rope_settings.to_exllama(RoPE(base=enlarged), head_dim=128, base=1e4)["alpha_value"]
    assert found == pytest.approx(alpha, abs=2e-6)
    assert rope_settings.to_exllama(RoPE(base=enlarged), head_dim=64, base=1e4)["alpha_value"] != pytest.approx(
        alpha, abs=1e-3
    )


def test_text_carries_the_context_length() -> None:
    found = exllama.read("alpha_value=2, n_ctx=8192 --compress_pos_emb=1", head_dim=128)
    assert found == rope_settings.Setting(NTK(alpha=2), 8192)
    assert rope_settings.to_exllama(found.encoding, head_dim=128, context_length=8192)["max_seq_len"] == 8192


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alpha=2", names("'alpha'", "alpha_value?")),
        ("alpha_value=two", "alpha_value='two'"),
        ("alpha_value=0.5", "alpha=0.5"),
        ("compress_pos_emb=0.5", names("factor=0.5", "compress_pos_emb")),
        ("alpha_value=nan", "nan"),
        ("alpha_value=2 compress_pos_emb=2", "base"),
        ("alpha_value=2 rope_freq_base=20000", names("rope_freq_base", "alpha_value")),
        ("alpha_value=2 alpha_value=3", names("alpha_value", 2, 3)),
        ("max_seq_len=8k", "max_seq_len='8k'"),
    ],
)
def test_what_would_be_ignored_or_guessed_is_refused(text: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        exllama.read(text, head_dim=128)


def test_a_smaller_base_is_no_alpha() -> None:
    with pytest.raises(CheckpointError, match="500000"):
        rope_settings.to_exllama(RoPE(base=1e4), head_dim=128, base=5e5)
