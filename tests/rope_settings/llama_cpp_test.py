"""llama.cpp's options mean what llama.cpp does with them: its angle, written out, and every option by name."""

import math

import numpy as np
import pytest

from ropelab import rope_settings
from ropelab.checkpoints import CheckpointError
from ropelab.encodings import NTK, PI, Encoding, RoPE, YaRN
from ropelab.rope_settings import llama_cpp
from tests.errors import names

YARN = "--rope-scaling yarn --rope-scale 4 --yarn-orig-ctx 4096"


def from_text(text: str, head_dim: int = 128) -> Encoding:
    return rope_settings.from_llama_cpp(text, head_dim=head_dim)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-c 8192 --rope-freq-scale 0.5", PI(factor=2.0)),
        ("--rope-freq-base 10000 --rope-freq-scale 0.5 -c 8192", PI(base=1e4, factor=2.0)),
        ("--rope-freq-scale 0.1", PI(factor=10.0)),
        ("--rope-freq-scale 0.3333333333333333", PI(factor=3.0)),
        ("--rope_freq_scale 0.5 --rope-scale 2", PI(factor=2.0)),
        ("--rope-freq-base 20221.26", RoPE(base=20221.26)),
        ("--rope-scaling none --rope-freq-base 1e6", RoPE(base=1e6)),
        ("", RoPE()),
        ("-c 0 --rope-freq-base 0 --rope-scale 2", PI(factor=2.0)),
        (YARN, YaRN(factor=4, original_length=4096)),
        (f"{YARN} --yarn-ext-factor -1 --yarn-attn-factor -1", YaRN(factor=4, original_length=4096)),
        (f"{YARN} --yarn-ext-factor 0", PI(factor=4)),
        (
            "--rope-scale 4 --yarn-orig-ctx 4096 --rope-scaling linear --yarn-ext-factor 1",
            YaRN(factor=4, original_length=4096),
        ),
        (
            f"{YARN} --yarn-beta-fast 16 --yarn-beta-slow 2",
            YaRN(factor=4, original_length=4096, beta_fast=16, beta_slow=2),
        ),
        (
            f"{YARN} --yarn-attn-factor 0.5",
            YaRN(factor=4, original_length=4096, attention_factor=0.5 * (0.1 * math.log(4) + 1)),
        ),
    ],
)
def test_options_and_what_they_mean(text: str, expected: Encoding) -> None:
    assert from_text(text) == expected


def test_the_context_length_goes_along() -> None:
    assert llama_cpp.read("--ctx-size 8192 --rope-scale 2", head_dim=64).context_length == 8192
    assert llama_cpp.read("--rope-scale 2", head_dim=64).context_length is None
    assert rope_settings.to_llama_cpp(PI(factor=2), head_dim=64, context_length=8192).endswith(" -c 8192")


@pytest.mark.parametrize(
    "text",
    [
        "--rope-scaling none",
        "--rope-scaling none --rope-freq-base 500000",
        "--rope-scaling linear --rope-scale 2 --rope-freq-base 10000",
        "--rope-scaling linear --rope-scale 3.3",
        f"{YARN} --yarn-attn-factor 0.7 --yarn-beta-fast 16 --yarn-beta-slow 2",
    ],
)
def test_the_canonical_form_comes_back(text: str) -> None:
    assert rope_settings.to_llama_cpp(from_text(text), head_dim=128) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--rope-scal 2", names("'--rope-scal'", "--rope-scale?")),
        ("-m model.gguf", "'-m'"),
        ("llama-server -c 8192", "'llama-server'"),
        ("--rope-scale", "--rope-scale"),
        ("--rope-scale two", "--rope-scale"),
        ("-c 4k", "-c"),
        ("--rope-scale '2", "No closing quotation"),
        ("--rope-scale 2 --rope-scale 4", names("2.0", "4.0")),
        ("--rope-scale 2 --rope-freq-scale 2", names("--rope-scale", "--rope-freq-scale")),
        ("--rope-freq-scale 2", "factor=0.5"),
        ("--rope-freq-scale inf", "rope-freq-scale|inf"),
        ("--rope-freq-scale -1", "rope-freq-scale|-1"),
        ("--rope-scale nan", "nan"),
        ("--rope-scaling ntk", names("'ntk'", "linear", "none", "yarn")),
        ("--rope-scaling none --rope-scale 2", "--rope-scale"),
        ("--rope-scaling yarn --rope-scale 4", names("--rope-scale", "--yarn-orig-ctx")),
        ("--rope-scaling yarn --yarn-orig-ctx 4096", names("--rope-scale", "--yarn-orig-ctx")),
        (f"{YARN} --yarn-ext-factor 0.5", "0.5"),
        ("--rope-scale 4 --yarn-orig-ctx 4096", names("--yarn-orig-ctx", "--rope-scaling")),
        ("--rope-scale 4 --yarn-attn-factor 0.7", names("attn_factor", 0.7)),
        (f"{YARN} --yarn-beta-fast 1 --yarn-beta-slow 2", names("beta_fast", "beta_slow")),
    ],
)
def test_what_would_be_ignored_or_guessed_is_refused(text: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        from_text(text)


def test_a_larger_base_is_ntk() -> None:
    """The base of alpha 2 at 128 dimensions, as the guides have it with two decimals."""
    ours = RoPE.frequencies(from_text("--rope-freq-base 20221.26"), 128, 0)[0]  # type: ignore[arg-type]
    np.testing.assert_allclose(ours, NTK(base=1e4, alpha=2).frequencies(128, 0)[0], rtol=1e-5)


def angle_and_amplitude(
    pos: int, pair: int, dim: int, base: float, freq_scale: float, orig: int, ext: float, attn: float,
    fast: float = 32.0, slow: float = 1.0,
) -> tuple[float, float]:  # fmt: skip
    """ggml's `rope_yarn`: the angle of one pair, and what cos and sin are multiplied by, in float64."""

    def end(turns: float) -> float:
        return dim * math.log(orig / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(0, math.floor(end(fast))), min(dim - 1, math.ceil(end(slow)))
    extrapolated = pos * base ** (-2 * pair / dim)
    angle = freq_scale * extrapolated
    if ext != 0:
        mix = (1 - min(1, max(0, (pair - low) / max(0.001, high - low)))) * ext
        angle = angle * (1 - mix) + extrapolated * mix
        attn *= 1 + 0.1 * math.log(1 / freq_scale)
    return angle, attn


@pytest.mark.parametrize("dim", [64, 128])
@pytest.mark.parametrize("factor", [1.0, 4.0, 16.0])
@pytest.mark.parametrize(("ext", "attn"), [(1.0, 1.0), (1.0, 0.7), (0.0, 1.0)])
@pytest.mark.parametrize("betas", [(32.0, 1.0), (8.0, 2.0)])
def test_yarn_is_llama_cpp_s_angle(
    dim: int, factor: float, ext: float, attn: float, betas: tuple[float, float]
) -> None:
    text = f"--rope-freq-base 10000 --rope-scaling yarn --rope-scale {factor} --yarn-orig-ctx 2048"
    options = (
        f" --yarn-ext-factor {ext} --yarn-attn-factor {attn} --yarn-beta-fast {betas[0]} --yarn-beta-slow {betas[1]}"
    )
    inv_freq, amplitude = from_text(text + options, dim).frequencies(dim, 0)  # type: ignore[attr-defined]
    for pos in (1, 4097):
        for pair in range(dim // 2):
            angle, scale = angle_and_amplitude(pos, pair, dim, 1e4, 1 / factor, 2048, ext, attn, *betas)
            assert pos * inv_freq[pair] == pytest.approx(angle, rel=1e-12)
            assert amplitude == pytest.approx(scale, rel=1e-12)
