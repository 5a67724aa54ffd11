"""Words and warnings carry the numbers of the setting, for every encoding there is."""

import pytest

from ropelab import rope_settings
from ropelab.encodings import ALL, PI, Encoding, parse

SAID = [
    ("RoPE(base=1e4)", None, "Positions are used unchanged, with base 10000."),
    ("RoPE(rotary_dim=32)", None, "with the model's base in the first 32 of 128 dimensions."),
    (
        "PI(base=1e4, factor=2)",
        8192,
        "divided by 2, with base 10000. The context is 8192 tokens, for weights trained on 4096",
    ),
    (
        "NTK(base=1e4, alpha=2)",
        None,
        "The base is 10000 times 2^(128/126), = 20221.26: the slowest pair rotates 2 times",
    ),
    ("DynamicNTK(base=1e4, factor=2, original_length=4096)", None, "multiplied by (2 l / 4096 - 1)^(128/126)"),
    ("YaRN(base=1e4, factor=4, original_length=4096)", 16384, "multiplied by 1.13863, so scores by 1.29648. The"),
    (
        "YaRN(base=1e4, factor=4, original_length=4096)",
        16384,
        "The context is 16384 tokens; the weights were trained on 4096.",
    ),
    ("Llama3RoPE(base=5e5, factor=8, original_length=8192)", None, "with less than 1 are divided by 8"),
    ("NTKByParts(base=1e4, factor=8, original_length=8192)", None, "more than 32 rotations in 8192 tokens"),
    ("ProportionalRoPE(base=1e4, fraction=0.25)", None, "The 16 fastest of 64 pairs rotate"),
    (
        "Layers((RoPE(base=1e4), NoPE()))",
        None,
        "with a period of 2. 1: Positions are used unchanged, with base 10000. 2:",
    ),
    ("ALiBi", None, "ALiBi(): A bias of"),
]


@pytest.mark.parametrize(("spec", "length", "words"), SAID)
def test_words(spec: str, length: int | None, words: str) -> None:
    assert words in rope_settings.describe(rope_settings.Setting(parse(spec), length), head_dim=128)


@pytest.mark.parametrize("encoding", ALL, ids=repr)
def test_there_are_words_for_every_encoding(encoding: Encoding) -> None:
    assert len(rope_settings.describe(rope_settings.Setting(encoding, 64), head_dim=16)) > 20
    assert all(
        isinstance(note, str)
        for note in rope_settings.find_disagreements(rope_settings.Setting(encoding, 64), head_dim=16)
    )


YARN = "YaRN(base=1e4, factor=4, original_length=4096"
WARNED = [
    (f"{YARN})", "attention_factor=1.13863 replaces 0.1 ln(factor) + 1 = 1.13863"),
    (f"{YARN}, attention_factor=1.3)", "llama.cpp's attn_factor=1.14172 multiplies"),
    (f"{YARN}, attention_factor=1.3)", "overwrites --yarn-attn-factor"),
    (f"{YARN}, beta_fast=16)", "ignores a Llama file's yarn_beta_fast"),
    ("YaRN(base=1e4, factor=3, original_length=4096)", "3 × 4096 = 12288"),
    ("NTK(base=1e4, alpha=2)", "the base is 20221.26 for 128 rotated dimensions"),
    ("RoPE(base=20221.26)", "20221.26 for 128 rotated dimensions, 20452.23 for 64"),
    ("NTK(base=5e5, alpha=2)", "64/63 and base 10000"),
    ("DynamicNTK(base=1e4, factor=4, original_length=4096)", "alpha at f^2 - f + 1 = 13 at every length"),
    ("LongRoPE(base=1e4, factor=4, original_length=24, short_factor=(1.0,), long_factor=(2.0,))", "picks the list"),
    ("Llama3RoPE(base=5e5, factor=32, original_length=8192)", "such as MaxText, are wrong for 32"),
    ("ProportionalRoPE(base=1e4, fraction=0.25)", "its exponents count all pairs"),
    ("Layers((RoPE(base=1e4), NoPE()))", "a 1 is a layer with rotation"),
]


@pytest.mark.parametrize(("spec", "warning"), WARNED)
def test_where_engines_disagree_a_warning_says_so(spec: str, warning: str) -> None:
    found = rope_settings.find_disagreements(rope_settings.Setting(parse(spec), 16384), head_dim=128, base=1e4)
    assert any(warning in note for note in found)


def test_where_they_agree_there_is_none() -> None:
    assert (
        rope_settings.find_disagreements(rope_settings.Setting(PI(base=1e4, factor=2), 8192), head_dim=128, base=1e4)
        == ()
    )
    assert (
        rope_settings.find_disagreements(
            rope_settings.Setting(parse("Llama3RoPE(base=5e5, factor=8, original_length=8192)")), head_dim=64
        )
        == ()
    )
