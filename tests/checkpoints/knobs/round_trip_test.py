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
from tests.checkpoints.knobs.dialects import NAMES, PAIRS, same_frequencies

D = 64
SHORT, LONG = tuple(1 + 0.01 * i for i in range(32)), tuple(1 + 0.2 * i for i in range(32))
YARN = {"base": 1e4, "factor": 4, "original_length": 4096}
# "=": comes back equal. "~": comes back with the same frequencies. Else: what the refusal says.
ROWS: list[tuple[Encoding, dict[str, str]]] = [
    (RoPE(base=5e5), {"hf": "=", "llama.cpp": "=", "gguf": "=", "exllama": "=", "maxtext": "="}),
    (PI(base=1e4, factor=2), {"hf": "=", "llama.cpp": "=", "gguf": "=", "exllama": "=", "maxtext": "="}),
    (PI(base=1e4, factor=3.3), {"hf": "=", "llama.cpp": "=", "gguf": "=", "exllama": "=", "maxtext": "="}),
    (
        NTK(base=1e4, alpha=2.5),
        {"hf": "~", "llama.cpp": "~", "gguf": "~", "exllama": "=", "maxtext": "rope_max_timescale is an integer"},
    ),
    (
        DynamicNTK(base=1e4, factor=2, original_length=4096),
        {
            "hf": "=",
            "llama.cpp": "it has none, linear, yarn",
            "gguf": "it has none, linear, yarn",
            "exllama": "it has alpha_value .NTK. and compress_pos_emb",
            "maxtext": "its rope types are default, llama3.1 and yarn",
        },
    ),
    (
        YaRN(**YARN),
        {"hf": "=", "llama.cpp": "=", "gguf": "=", "exllama": "takes YaRN.* from config.json", "maxtext": "="},
    ),
    (
        YaRN(**YARN, attention_factor=1.3, beta_fast=8, beta_slow=2),
        {"hf": "=", "llama.cpp": "=", "gguf": "=", "maxtext": "rope_attention_scaling gives 1 or 1.13863, never 1.3"},
    ),
    (YaRN(**YARN, attention_factor=1.0), {"hf": "=", "llama.cpp": "=", "gguf": "=", "maxtext": "="}),
    (
        YaRN(**YARN, mscale=1.0, mscale_all_dim=0.8),
        {"hf": "=", "llama.cpp": "~", "gguf": "~", "maxtext": "never 1.02"},
    ),
    (
        YaRN(**YARN, truncate=False),
        {"hf": "=", "llama.cpp": "no key says truncate=False", "gguf": "truncate=False", "maxtext": "="},
    ),
    (
        YaRN(**YARN, ramp="wavelength"),
        dict.fromkeys(("hf", "llama.cpp", "gguf", "maxtext"), "no key says ramp='wavelength'"),
    ),
    (
        YaRN(**YARN, pairing="interleaved"),
        {"hf": "turns halves", "llama.cpp": "halves", "gguf": "halves", "exllama": "halves", "maxtext": "="},
    ),
    (YaRN(**YARN | {"factor": 2.5}), {"hf": "=", "llama.cpp": "=", "maxtext": "rope_factor is an integer"}),
    (
        Llama3RoPE(base=5e5, factor=8, original_length=8192),
        {"hf": "=", "llama.cpp": "a tensor of the file", "gguf": "=", "exllama": "llama3", "maxtext": "="},
    ),
    (Llama3RoPE(base=5e5, factor=32, original_length=8192), {"hf": "=", "gguf": "=", "maxtext": "factor=8.*built in"}),
    (
        NTKByParts(base=1e4, factor=4, original_length=2048),
        {"hf": "~", "llama.cpp": "a tensor", "exllama": "it has alpha_value", "maxtext": "built in"},
    ),
    (
        LongRoPE(base=1e4, factor=4, original_length=4096, short_factor=SHORT, long_factor=LONG),
        {"hf": "=", "llama.cpp": "it has none, linear", "gguf": "it has none", "maxtext": "its rope types"},
    ),
    (
        LongRoPE(base=1e4, factor=4, original_length=64, short_factor=SHORT, long_factor=LONG, select="long"),
        {"hf": "no key says select='long'"},
    ),
    (DynamicNTK(base=1e4, factor=2, original_length=64, per="query"), {"hf": "no key says per='query'"}),
    (DynamicYaRN(base=1e4, original_length=64), {"hf": "rotary scalings only", "gguf": "rotary scalings only"}),
    (ProportionalRoPE(base=1e6, fraction=0.25), {"hf": "=", "gguf": "it has none", "maxtext": "its rope types"}),
    (
        RoPE(base=1e4, rotary_dim=32),
        {
            "hf": "a part of each head is turned by model_type",
            "llama.cpp": "rope.dimension_count",
            "gguf": "=",
            "exllama": "which part of a head turns is config.json's",
            "maxtext": "acts in qwen3_next only",
        },
    ),
    (
        RoPE(),
        {"hf": "base is not known", "llama.cpp": "=", "gguf": "Give base=", "exllama": "=", "maxtext": "Give base="},
    ),
    (PI(factor=2), {"hf": "base is not known", "llama.cpp": "=", "gguf": "base is not known", "exllama": "="}),
    (NTK(alpha=2), {"llama.cpp": "takes base= and head_dim=", "exllama": "="}),
    (NoPE(), {"hf": "=", "llama.cpp": "rotary scalings only", "gguf": "rotary", "exllama": "rotary"}),
    (
        Layers((RoPE(base=1e4),) * 3 + (NoPE(),)),
        {"hf": "=", "llama.cpp": "rotary scalings only", "gguf": "rotary", "exllama": "rotary", "maxtext": "="},
    ),
    (Layers((NoPE(), RoPE(base=1e4))), {"hf": "=", "maxtext": "n - 1 layers alike"}),
    (Layers((RoPE(base=1e4), PI(base=1e6, factor=8))), {"hf": "Give layer_types="}),
    (ALiBi(), dict.fromkeys(PAIRS, "rotary scalings only")),
    (XPos(base=1e4), dict.fromkeys(PAIRS, "rotary scalings only")),
    (LogN(of=RoPE(base=1e4), original_length=9), dict.fromkeys(PAIRS, "rotary scalings only")),
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
        assert refusal.startswith(f"{NAMES[dialect]} cannot say {type(encoding).__name__}(")
        return
    back, refusal = attempt(lambda: PAIRS[dialect].back(said, 16))
    if refusal:  # divisors do not tell a trained length other than 8192
        assert "rope_freqs.weight are not Llama 3's" in refusal
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
    with pytest.raises(CheckpointError, match=r"cannot say Mine.*rotary scalings only"):
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
