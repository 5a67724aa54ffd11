"""config.json beyond a Llama's one setting: searched lists, parts of heads, and layers that differ."""

import json
from typing import Any

import pytest

from ropelab import rope_settings as knobs
from ropelab.checkpoints import CheckpointError
from ropelab.encodings import (
    NTK,
    PI,
    DynamicNTK,
    Encoding,
    Layers,
    Llama3RoPE,
    LongRoPE,
    NoPE,
    ProportionalRoPE,
    RoPE,
    YaRN,
    parse,
)
from tests.errors import names
from tests.rope_settings.dialects import same_frequencies
from tools.golden import make_rope_settings as rope_settings

FROZEN = json.loads(rope_settings.FILE.read_text())
L0 = "original_max_position_embeddings"
SHORT, LONG = [1.0, 1.1, 1.2, 1.3], [1.0, 2.0, 3.0, 4.0]
SEARCHED = {"short_factor": SHORT, "long_factor": LONG}
LONGROPE = LongRoPE(base=1e4, factor=32, original_length=4096, short_factor=tuple(SHORT), long_factor=tuple(LONG))
ROPE, NONE = RoPE(base=5e4), NoPE()
DEFAULT = {"rope_type": "default", "rope_theta": 1e4}


def v5(kind: str, base: float = 1e4, **rope: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": base} | rope}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (v5("longrope", factor=32.0, **SEARCHED, **{L0: 4096}), LONGROPE),
        (v5("longrope", **SEARCHED) | {L0: 4096, "max_position_embeddings": 131072}, LONGROPE),
        (
            {"model_type": "phi3", "rope_theta": 1e4, "rope_scaling": {"type": "su", **SEARCHED}, L0: 4096}
            | {"max_position_embeddings": 131072},
            LONGROPE,
        ),
        (
            v5("longrope", factor=32.0, attention_factor=1.2, **SEARCHED, **{L0: 4096}),
            LongRoPE(**{f: getattr(LONGROPE, f) for f in ("base", "factor", "original_length")}, attention_factor=1.2,
                     short_factor=tuple(SHORT), long_factor=tuple(LONG)),
        ),
        (v5("proportional", partial_rotary_factor=0.25), ProportionalRoPE(base=1e4, fraction=0.25)),
        (v5("proportional") | {"partial_rotary_factor": 0.25}, ProportionalRoPE(base=1e4, fraction=0.25)),
        (v5("default", partial_rotary_factor=0.5) | {"model_type": "phi", "head_dim": 8}, RoPE(base=1e4, rotary_dim=4)),
        (
            v5("linear", factor=2.0) | {"model_type": "gpt_neox", "partial_rotary_factor": 0.25}
            | {"hidden_size": 512, "num_attention_heads": 8},
            PI(base=1e4, factor=2, rotary_dim=16),
        ),
        (v5("default", partial_rotary_factor=1.0) | {"model_type": "mistral"}, RoPE(base=1e4)),
    ],
)  # fmt: skip
def test_settings_of_other_models(config: dict[str, Any], expected: Encoding) -> None:
    assert knobs.from_hf(config) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"no_rope_layers": [1, 1, 1, 0] * 3, "num_hidden_layers": 12}, Layers((ROPE, ROPE, ROPE, NONE))),
        ({"no_rope_layers": [0, 1]}, Layers((NONE, ROPE))),
        ({"no_rope_layers": [1, 1]}, ROPE),
        ({"no_rope_layers": [0, 0]}, NONE),
        ({"model_type": "smollm3", "num_hidden_layers": 36}, Layers((ROPE, ROPE, ROPE, NONE))),
        ({"model_type": "smollm3", "num_hidden_layers": 6, "no_rope_layer_interval": 2}, Layers((ROPE, NONE))),
    ],
)
def test_a_one_is_a_layer_with_rotation(config: dict[str, Any], expected: Encoding) -> None:
    """Whatever the name of the key says (transformers#43756)."""
    assert knobs.from_hf(v5("default", 5e4) | config) == expected


def nested(**kinds: Any) -> dict[str, Any]:
    types = [name for name in kinds for _ in range(2 if name == "sliding_attention" else 1)]
    return {"layer_types": types * 2, "rope_parameters": kinds}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            nested(sliding_attention=DEFAULT, full_attention={"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}),
            Layers((RoPE(base=1e4), RoPE(base=1e4), PI(base=1e6, factor=8))),
        ),
        (nested(sliding_attention=DEFAULT, full_attention=None), Layers((RoPE(base=1e4), RoPE(base=1e4), NONE))),
        (nested(sliding_attention={}, full_attention={}) | {"rope_theta": 5e4}, ROPE),
        (
            nested(sliding_attention=DEFAULT, full_attention={"rope_theta": 1e6}) | {"rope_theta": 7e4},
            Layers((RoPE(base=1e4), RoPE(base=1e4), RoPE(base=1e6))),
        ),
        (
            nested(sliding_attention=DEFAULT, full_attention=DEFAULT) | {"no_rope_layers": [1, 1, 0] * 2},
            Layers((RoPE(base=1e4), RoPE(base=1e4), NONE)),
        ),
    ],
)
def test_settings_per_layer_type(config: dict[str, Any], expected: Encoding) -> None:
    assert knobs.from_hf(config) == expected


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (v5("su", **SEARCHED, **{L0: 32}) | {"model_type": "llama"}, "'su'"),
        (
            v5("yarn", factor=2.0, **{L0: 32}) | {"model_type": "phi3"},
            names("'longrope'", "long_factor", "short_factor"),
        ),
        (v5("longrope", **SEARCHED, **{L0: 32}), names("'longrope'", "max_position_embeddings")),
        (
            v5("longrope", factor=2.0, long_factor=LONG, short_factor=SHORT[:2], **{L0: 32}),
            names("short_factor", "long_factor"),
        ),
        (v5("yarn", factor=2.0, **{L0: 32}) | {L0: 64}, names(L0, 32, 64)),
        (v5("proportional"), names("'proportional'", "partial_rotary_factor")),
        (v5("proportional", partial_rotary_factor=0.5, factor=2.0), names("'proportional'", "'factor'")),
        (v5("default", partial_rotary_factor=0.5) | {"model_type": "qwen2"}, "qwen2"),
        (v5("default") | {"model_type": "phi"}, "phi"),
        (v5("default", partial_rotary_factor=0.5) | {"model_type": "phi"}, "head_dim"),
        ({"model_type": "mistral"}, "rope_theta"),
        (v5("default") | {"no_rope_layers": [1, 0], "model_type": "llama"}, "no_rope_layers"),
        (v5("default") | {"no_rope_layers": [1, 2]}, "no_rope_layers"),
        (v5("default") | {"no_rope_layers": "all"}, "'all'"),
        (v5("default") | {"no_rope_layers": [1, 0], "num_hidden_layers": 4}, names("no_rope_layers", 2, 4)),
        (v5("default") | {"model_type": "smollm3"}, names("smollm3", "num_hidden_layers")),
        (
            nested(full_attention=DEFAULT) | {"model_type": "llama"},
            "full_attention",
        ),
        (nested(full_attention={"rope_type": "default"}), "rope_theta"),
        (
            nested(full_attention=DEFAULT, slidng=DEFAULT) | {"layer_types": ["full_attention"]},
            "'slidng'",
        ),
        (
            nested(full_attention=DEFAULT) | {"layer_types": ["full_attention", "sliding_attention"]},
            "sliding_attention",
        ),
        (nested(full_attention=DEFAULT) | {"layer_types": [["full_attention"]]}, "layer_types"),
        (nested(full_attention=DEFAULT) | {"no_rope_layers": [1]}, "no_rope_layers"),
        (nested(full_attention=DEFAULT, sliding_attention=3), r"\b3\b"),
        (
            nested(full_attention=DEFAULT | {"rope_type": "yarn", "factor": 2.0, L0: 32, "truncate": False}),
            "truncate",
        ),
        (v5("linear", factor=8.0) | {"model_type": "gemma3_text"}, names("gemma3_text", "rope_parameters")),
        ({"rope_theta": 1e6, "rope_local_base_freq": 1e4}, "rope_local_base_freq"),
        ({"text_config": v5("default")}, "text_config"),
        (v5("default") | {"model_type": "llama4_text"}, "attn_temperature_tuning"),
        (v5("linear", factor=10**400), "factor=1000"),
        (v5("default") | {"model_type": ["llama"]}, "model_type"),
        (v5("default") | {"max_position_embeddings": "4k"}, "max_position_embeddings='4k'"),
    ],
)
def test_what_would_be_ignored_or_guessed_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        knobs.from_hf(config)


EVERY = [
    ROPE,
    PI(base=1e4, factor=2),
    NTK(base=1e4, alpha=2),
    YaRN(base=1e4, factor=4, original_length=32, truncate=False, attention_factor=1.3),
    Llama3RoPE(base=5e5, factor=8, original_length=32),
    LONGROPE,
    ProportionalRoPE(base=1e4, fraction=0.25),
    Layers((ROPE, NONE)),
    NONE,
]


@pytest.mark.parametrize("encoding", EVERY, ids=lambda e: type(e).__name__)
def test_transformers_4_and_5_say_the_same(encoding: Encoding) -> None:
    four, five = (knobs.to_hf(encoding, head_dim=8, context_length=4096, version=v) for v in (4, 5))
    assert "rope_parameters" not in four
    assert not {"rope_theta", "rope_scaling"} & set(five)
    assert knobs.from_hf(four) == knobs.from_hf(five)
    assert four["max_position_embeddings"] == five["max_position_embeddings"] == 4096


def test_what_is_written_in_full() -> None:
    encoding = YaRN(base=1e4, factor=4, original_length=2048, beta_fast=16)
    rope = {"rope_type": "yarn", "factor": 4.0, L0: 2048, "beta_fast": 16.0}
    assert knobs.to_hf(encoding, version=5) == {"rope_parameters": rope | {"rope_theta": 1e4}}
    assert knobs.to_hf(encoding) == knobs.to_hf(encoding, version=5) | knobs.to_hf(encoding, version=4)
    assert knobs.to_hf(encoding, version=4) == {"rope_theta": 1e4, "rope_scaling": rope}
    assert knobs.to_hf(ROPE, version=4, model_type="llama") == {
        "model_type": "llama", "rope_theta": 5e4, "rope_scaling": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", rope_settings.CASES)
def test_transformers_4_and_5_have_read_what_is_written_as_it_is_meant(name: str) -> None:
    """Frozen: what the configuration classes of both held of these files."""
    model_type, spec, length = rope_settings.CASES[name]
    meant, sizes = parse(spec), rope_settings.SIZES
    written = FROZEN["written"][name]
    about = {"head_dim": rope_settings.HEAD_DIM, "context_length": length, "model_type": model_type}
    assert sizes | knobs.to_hf(meant, **about) == written
    four, five = FROZEN["4.56.2"][name], FROZEN["5.24.0"][name]
    for read in (written, sizes | four, sizes | five):
        found = knobs.from_hf({"model_type": model_type} | read)
        same_frequencies(meant, found, rope_settings.HEAD_DIM)
        assert type(found) is type(meant) or name == "ntk"
    assert four["rope_theta"] == five["rope_parameters"]["rope_theta"]
    if name.startswith("longrope"):  # 4 takes this one, and the context over it for the factor
        assert four[L0] == meant.original_length  # pyright: ignore[reportAttributeAccessIssue]
        assert four["rope_scaling"]["attention_factor"] == meant.amplitude  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    "change",
    [
        {"rope_theta": 2e4},
        {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, L0: 1024}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, L0: 2048, "beta_fast": 16.0}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, L0: 2048, "rope_theta": 2e4}},
        {L0: 1024},
    ],
)
def test_two_versions_that_disagree_are_refused(change: dict[str, Any]) -> None:
    both = knobs.to_hf(YaRN(base=1e4, factor=4, original_length=2048), context_length=8192, model_type="llama")
    assert knobs.from_hf(both | {"rope_scaling": both["rope_scaling"] | {"type": "yarn"}}) == knobs.from_hf(both)
    with pytest.raises(CheckpointError):
        knobs.from_hf(both | change)


def test_a_schedule_is_written_to_the_depth_of_the_model() -> None:
    schedule = Layers((ROPE, ROPE, NONE))
    config = knobs.to_hf(schedule, layers=6, model_type="smollm3")
    assert config["no_rope_layers"] == [1, 1, 0, 1, 1, 0]
    assert knobs.from_hf(config) == schedule
    types = ["sliding_attention", "full_attention"] * 2
    config = knobs.to_hf(Layers((ROPE, PI(base=1e6, factor=8))), layer_types=types)
    assert knobs.from_hf(config) == Layers((ROPE, PI(base=1e6, factor=8)))
    assert knobs.to_hf(Layers((ROPE, NONE)), layer_types=types)["rope_parameters"]["full_attention"] is None


def test_a_part_of_each_head_is_written_for_who_applies_it() -> None:
    encoding = RoPE(base=1e4, rotary_dim=32)
    config = knobs.to_hf(encoding, head_dim=128, model_type="phi3")
    assert config["rope_parameters"]["partial_rotary_factor"] == 0.25
    assert knobs.from_hf(config) == encoding


@pytest.mark.parametrize(
    ("encoding", "given", "message"),
    [
        (NTK(base=1e4, alpha=2), {}, names("base=", "head_dim=")),
        (RoPE(base=1e4, rotary_dim=32), {"head_dim": 64, "model_type": "llama"}, "llama"),
        (Layers((ROPE, NONE)), {"model_type": "llama"}, "no_rope_layers"),
        (Layers((ROPE, NONE)), {"layer_types": ["full_attention"] * 2}, "'full_attention'"),
        (Layers((ROPE, NONE)), {"layer_types": ["full_attention"], "version": 4}, "version"),
        (DynamicNTK(base=1e4, factor=2, original_length=64), {"context_length": 128}, "context_length"),
        (ROPE, {"version": 3}, "version=3"),
    ],
)
def test_what_cannot_be_written_says_why(encoding: Encoding, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        knobs.to_hf(encoding, **given)
