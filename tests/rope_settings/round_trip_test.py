"""What a dialect can say comes back as it was; what it cannot is refused by name, with the reason."""

from collections.abc import Callable
from typing import Any

import pytest

from ropelab import spec
from ropelab.checkpoints import CheckpointError
from ropelab.encodings import (
    ALL,
    NTK,
    PI,
    ALiBi,
    DynamicNTK,
    DynamicYaRN,
    Encoding,
    Layers,
    Llama3RoPE,
    LogN,
    LongRoPE,
    NoPE,
    NTKByParts,
    ProportionalRoPE,
    RoPE,
    XPos,
    YaRN,
)
from tests.rope_settings.dialects import NAMES, PAIRS, same_frequencies

D = 64
SHORT, LONG = tuple(1 + 0.01 * i for i in range(32)), tuple(1 + 0.2 * i for i in range(32))
YARN = {"base": 1e4, "factor": 4, "original_length": 4096}
# "=": comes back equal. "~": comes back with the same frequencies. Else: a pattern of what the error names.
ROWS: list[tuple[Encoding, dict[str, str]]] = [
    (RoPE(base=5e5), {"hf": "=", "llama.cpp": "=", "gguf": "=", "exllama": "=", "maxtext": "="}),
    (PI(base=1e4, factor=2), {"hf": "=", "llama.cpp": "=", "gguf": "=", "exllama": "=", "maxtext": "="}),
    (PI(base=1e4, factor=3.3), {"hf": "=", "llama.cpp": "=", "gguf": "=", "exllama": "=", "maxtext": "="}),
    (
        NTK(base=1e4, alpha=2.5),
        {"hf": "~", "llama.cpp": "~", "gguf": "~", "exllama": "=", "maxtext": "rope_max_timescale"},
    ),
    (
        DynamicNTK(base=1e4, factor=2, original_length=4096),
        {
            "hf": "=",
            "llama.cpp": "linear",
            "gguf": "linear",
            "exllama": "compress_pos_emb",
            "maxtext": "llama3.1",
        },
    ),
    (
        YaRN(**YARN),
        {"hf": "=", "llama.cpp": "=", "gguf": "=", "exllama": "config.json", "maxtext": "="},
    ),
    (
        YaRN(**YARN, attention_factor=1.3, beta_fast=8, beta_slow=2),
        {"hf": "=", "llama.cpp": "=", "gguf": "=", "maxtext": "rope_attention_scaling.*1.13863.*1.3"},
    ),
    (YaRN(**YARN, attention_factor=1.0), {"hf": "=", "llama.cpp": "=", "gguf": "=", "maxtext": "="}),
    (
        YaRN(**YARN, mscale=1.0, mscale_all_dim=0.8),
        {"hf": "=", "llama.cpp": "~", "gguf": "~", "maxtext": "1.02"},
    ),
    (
        YaRN(**YARN, truncate=False),
        {"hf": "=", "llama.cpp": "truncate=False", "gguf": "truncate=False", "maxtext": "="},
    ),
    (
        YaRN(**YARN, ramp="wavelength"),
        dict.fromkeys(("hf", "llama.cpp", "gguf", "maxtext"), "ramp='wavelength'"),
    ),
    (
        YaRN(**YARN, pairing="interleaved"),
        dict.fromkeys(("hf", "llama.cpp", "gguf", "exllama"), "interleaved") | {"maxtext": "="},
    ),
    (YaRN(**YARN | {"factor": 2.5}), {"hf": "=", "llama.cpp": "=", "maxtext": "rope_factor"}),
    (
        Llama3RoPE(base=5e5, factor=8, original_length=8192),
        {"hf": "=", "llama.cpp": "Llama3RoPE", "gguf": "=", "exllama": "llama3", "maxtext": "="},
    ),
    (Llama3RoPE(base=5e5, factor=32, original_length=8192), {"hf": "=", "gguf": "=", "maxtext": "factor=8"}),
    (
        NTKByParts(base=1e4, factor=4, original_length=2048),
        {"hf": "~", "llama.cpp": "NTKByParts", "exllama": "alpha_value", "maxtext": "NTKByParts"},
    ),
    (
        LongRoPE(base=1e4, factor=4, original_length=4096, short_factor=SHORT, long_factor=LONG),
        {"hf": "=", "llama.cpp": "linear", "gguf": "linear", "maxtext": "llama3.1"},
    ),
    (
        LongRoPE(base=1e4, factor=4, original_length=64, short_factor=SHORT, long_factor=LONG, select="long"),
        {"hf": "select='long'"},
    ),
    (DynamicNTK(base=1e4, factor=2, original_length=64, per="query"), {"hf": "per='query'"}),
    (DynamicYaRN(base=1e4, original_length=64), {"hf": "DynamicYaRN", "gguf": "DynamicYaRN"}),
    (ProportionalRoPE(base=1e6, fraction=0.25), {"hf": "=", "gguf": "linear", "maxtext": "llama3.1"}),
    (
        RoPE(base=1e4, rotary_dim=32),
        {
            "hf": "model_type",
            "llama.cpp": "rope.dimension_count",
            "gguf": "=",
            "exllama": "config.json",
            "maxtext": "qwen3_next",
        },
    ),
    (
        RoPE(),
        {"hf": "base", "llama.cpp": "=", "gguf": "base=", "exllama": "=", "maxtext": "base="},
    ),
    (PI(factor=2), {"hf": "base", "llama.cpp": "=", "gguf": "base", "exllama": "="}),
    (NTK(alpha=2), {"llama.cpp": "base=.*head_dim=", "exllama": "="}),
    (NoPE(), dict.fromkeys(("llama.cpp", "gguf", "exllama"), "NoPE") | {"hf": "="}),
    (
        Layers((RoPE(base=1e4),) * 3 + (NoPE(),)),
        dict.fromkeys(("llama.cpp", "gguf", "exllama"), "Layers") | {"hf": "=", "maxtext": "="},
    ),
    (Layers((NoPE(), RoPE(base=1e4))), {"hf": "=", "maxtext": "Layers"}),
    (Layers((RoPE(base=1e4), PI(base=1e6, factor=8))), {"hf": "layer_types="}),
    (ALiBi(), dict.fromkeys(PAIRS, "ALiBi")),
    (XPos(base=1e4), dict.fromkeys(PAIRS, "XPos")),
    (LogN(inner=RoPE(base=1e4), original_length=9), dict.fromkeys(PAIRS, "LogN")),
]  # fmt: skip
CASES = [(e, name, outcome) for e, row in ROWS for name, outcome in row.items()]


@pytest.mark.parametrize(("encoding", "dialect", "outcome"), CASES, ids=lambda value: str(value)[:60])
def test_comes_back_or_is_refused(encoding: Encoding, dialect: str, outcome: str) -> None:
    pair = PAIRS[dialect]
    if outcome not in ("=", "~"):
        with pytest.raises(CheckpointError, match=outcome):
            pair.to(encoding, D)
        return
    back = pair.back(pair.to(encoding, D), D)
    assert (back == encoding) == (outcome == "=")
    if getattr(encoding, "base", 1) is not None:
        same_frequencies(back, encoding, D)


@pytest.mark.parametrize("dialect", PAIRS)
@pytest.mark.parametrize("encoding", ALL, ids=repr)
def test_no_encoding_of_the_catalogue_is_said_wrongly(encoding: Any, dialect: str) -> None:
    """Said, and then with the same frequencies; or refused, in the dialect's and in its own name."""
    said, refusal = attempt(lambda: PAIRS[dialect].to(encoding, 16))
    if refusal:
        assert NAMES[dialect] in refusal
        assert f"{type(encoding).__name__}(" in refusal
        return
    back, refusal = attempt(lambda: PAIRS[dialect].back(said, 16))
    if refusal:  # divisors do not tell a trained length other than 8192
        assert "rope_freqs.weight" in refusal
        return
    same_frequencies(back, encoding, 16)


def attempt(call: Callable[[], Any]) -> tuple[Any, str]:
    """What a call returns, or why it does not."""
    try:
        return call(), ""
    except CheckpointError as error:
        return None, str(error)


@spec.spec
class Mine(YaRN):
    """A user's own, which turns otherwise."""

    extra: float = 2.0


@pytest.mark.parametrize("dialect", PAIRS)
def test_a_class_of_a_user_is_not_taken_for_the_one_it_is_derived_from(dialect: str) -> None:
    with pytest.raises(CheckpointError, match="Mine"):
        PAIRS[dialect].to(Mine(**YARN), D)


@pytest.mark.parametrize("factor", [1.0, 1.5, 2.0, 4.0, 7.3, 32.0])
@pytest.mark.parametrize("amplitude", [0.5, 0.7970406, 1.0, 1.1, 1.2079441541679836, 1.3, 1.3465735902799727, 2.0])
@pytest.mark.parametrize("dialect", ["gguf", "llama.cpp"])
def test_a_temperature_survives_being_divided_and_multiplied(dialect: str, amplitude: float, factor: float) -> None:
    """llama.cpp's attn_factor is the amplitude over 0.1 ln(factor) + 1; one unit in the last place may be lost."""
    encoding = YaRN(base=1e4, factor=factor, original_length=64, attention_factor=amplitude)
    back: Any = PAIRS[dialect].back(PAIRS[dialect].to(encoding, D), D)
    assert back.amplitude == pytest.approx(amplitude, rel=3e-16, abs=0)
    assert PAIRS[dialect].to(back, D) == PAIRS[dialect].to(encoding, D)
