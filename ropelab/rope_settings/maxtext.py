"""MaxText's configuration keys.

    rope_type "default"    base rope_max_timescale, frequencies divided by rope_linear_scaling_factor
    rope_type "llama3.1"   Llama 3.1's scaling with 8, 1, 4 and 8192 built in, off with rope_use_scale: false
    rope_type "yarn"       integers rope_factor, beta_fast, beta_slow; a temperature only with rope_attention_scaling
    nope_layer_interval    every n-th layer without rotation, in decoder_block "llama4"

Keys that are left out have the value of MaxText's base.yml, which differs from other engines: yarn without other keys
is factor 40 from 4096, with interleaved pairs and no temperature. A key that the type ignores must have its default.

Source: AI-Hypercomputer/maxtext e591f30, configs/base.yml, configs/types.py, layers/attentions.py and embeddings.py.
"""

from collections.abc import Mapping
from typing import Any

from ropelab.encodings.base import Encoding
from ropelab.encodings.layers import Layers
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.nope import NoPE
from ropelab.encodings.pi import PI
from ropelab.encodings.rope import RoPE
from ropelab.encodings.rotary import Rotary
from ropelab.encodings.yarn import YaRN, yarn_attention_factor
from ropelab.errors import CheckpointError
from ropelab.rope_settings.base import (
    Setting,
    check_count,
    check_fields,
    check_number,
    format_number,
    make_schedule,
    to_common_rotary,
    unknown_key,
    unsupported,
)

_WHERE = "MaxText keys"
_BASE, _LENGTH = "rope_max_timescale", "max_target_length"
DEFAULTS: dict[str, Any] = {  # base.yml
    "rope_type": "default", _BASE: 10000, "rope_min_timescale": 1, "rope_linear_scaling_factor": 1.0,
    "rope_use_scale": True, "max_position_embeddings": 163840, "original_max_position_embeddings": 4096,
    "rope_factor": 40, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "rope_interleave": True, "rope_truncate": True,
    "rope_attention_scaling": False, "local_rope_max_timescale": -1, "global_rope_max_timescale": -1,
    "partial_rotary_factor": 1.0, "nope_layer_interval": -1, "use_mrope": False,
}  # fmt: skip
MODEL_KEYS = {"decoder_block", _LENGTH}  # belong to the model, not to rope
_COMMON_KEYS = {"rope_type", _BASE, "nope_layer_interval"}
_KEYS_BY_TYPE = {
    "default": _COMMON_KEYS | {"rope_linear_scaling_factor"},
    "llama3.1": _COMMON_KEYS | {"rope_use_scale"},
    "yarn": _COMMON_KEYS
    | {"max_position_embeddings", "original_max_position_embeddings", "rope_factor", "beta_fast", "beta_slow"}
    | {"rope_interleave", "rope_truncate", "rope_attention_scaling"},
}
_INTEGER_KEYS = {_BASE, "rope_factor", "beta_fast", "beta_slow"}  # typed so: 20221.26 does not load
_LLAMA31_FIELDS = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_length": 8192}


def from_maxtext(keys: Mapping[str, Any]) -> Encoding:
    """Return the encoding that MaxText runs with these keys and the defaults of its base.yml.

    Raises:
        CheckpointError: for a key that is unknown, or that the rope type ignores.
    """
    return read(keys).encoding


def read(keys: Mapping[str, Any]) -> Setting:
    """Read the encoding and the context length (max_target_length)."""
    for key in keys:
        if key not in DEFAULTS and key not in MODEL_KEYS:
            raise unknown_key(_WHERE, key, [*DEFAULTS, *MODEL_KEYS])
    rope = DEFAULTS | {key: value for key, value in keys.items() if key in DEFAULTS}
    kind = rope["rope_type"]
    if not isinstance(kind, str) or kind not in _KEYS_BY_TYPE:
        raise unknown_key(f"{_WHERE}: rope_type", str(kind), _KEYS_BY_TYPE)
    for key, value in rope.items():
        if key not in _KEYS_BY_TYPE[kind] and value != DEFAULTS[key]:
            raise CheckpointError(f"{_WHERE}: {key}={value!r} is not read with rope_type {kind!r}; remove it")
        if key in _INTEGER_KEYS & _KEYS_BY_TYPE[kind] and check_number(_WHERE, key, value) != int(value):
            raise CheckpointError(f"{_WHERE}: {key}={value!r} must be an integer in MaxText")
    interval = rope["nope_layer_interval"]
    rope["nope_layer_interval"] = None if interval == -1 else check_count(_WHERE, "nope_layer_interval", interval)
    try:
        encoding = _build_encoding(kind, rope)
    except (ValueError, OverflowError) as error:
        raise CheckpointError(f"{_WHERE}: {error}") from None
    return Setting(
        _add_nope_layers(encoding, rope, keys.get("decoder_block")), check_count(_WHERE, _LENGTH, keys.get(_LENGTH))
    )


def _build_encoding(kind: str, rope: Mapping[str, Any]) -> Rotary:
    """Build the encoding of a layer with rotation."""
    base = float(rope[_BASE])
    if kind == "default":
        factor = rope["rope_linear_scaling_factor"]
        return RoPE(base=base) if factor == 1.0 else PI(base=base, factor=factor)
    if kind == "llama3.1":
        return Llama3RoPE(base=base, **_LLAMA31_FIELDS) if rope["rope_use_scale"] else RoPE(base=base)
    return YaRN(
        base=base,
        pairing="interleaved" if rope["rope_interleave"] else None,
        factor=rope["rope_factor"],
        original_length=rope["original_max_position_embeddings"],
        beta_fast=rope["beta_fast"],
        beta_slow=rope["beta_slow"],
        truncate=rope["rope_truncate"],
        attention_factor=None if rope["rope_attention_scaling"] else 1.0,
    )


def _add_nope_layers(encoding: Rotary, rope: Mapping[str, Any], block: Any) -> Encoding:
    """Make every n-th layer NoPE, if the decoder block reads that key."""
    interval = rope["nope_layer_interval"]
    if interval is None:
        return encoding
    if block != "llama4":
        raise CheckpointError(f"{_WHERE}: nope_layer_interval={interval} needs decoder_block llama4, not {block!r}")
    return make_schedule([encoding] * (interval - 1) + [NoPE()])


def to_maxtext(encoding: Encoding, *, head_dim: int, context_length: int | None = None) -> dict[str, Any]:
    """Return the keys that make MaxText run an encoding.

    Raises:
        CheckpointError: if its keys cannot express the encoding.
    """
    about: dict[str, Any] = {} if context_length is None else {_LENGTH: context_length}
    if isinstance(encoding, Layers):
        *rotating, last = encoding.schedule
        if len(set(rotating)) != 1 or not isinstance(last, NoPE):
            why = "its schedules are n - 1 equal layers and one without rotation. Use ropelab's own spec"
            raise unsupported("MaxText", encoding, why)
        about |= {"decoder_block": "llama4", "nope_layer_interval": len(encoding.schedule)}
        encoding = rotating[0]
    return about | _write_rope(encoding, head_dim, context_length)


def _write_rope(encoding: Encoding, head_dim: int, context_length: int | None) -> dict[str, Any]:
    """Return the keys of one layer with rotation."""
    is_interleaved_yarn = isinstance(encoding, YaRN) and encoding.pairing == "interleaved"
    rotary = (
        encoding
        if isinstance(encoding, YaRN) and is_interleaved_yarn
        else to_common_rotary("MaxText", encoding, head_dim)
    )
    if rotary.rotated_dims(head_dim) != head_dim:
        raise unsupported(
            "MaxText", encoding, "partial_rotary_factor has an effect only in qwen3_next. Omit rotary_dim"
        )
    keys: dict[str, Any] = {_BASE: _require_integer(encoding, _BASE, rotary.require_base())}
    if isinstance(rotary, RoPE | PI):
        factor = {"rope_linear_scaling_factor": rotary.factor} if isinstance(rotary, PI) else {}
        return {"rope_type": "default"} | keys | factor
    if isinstance(rotary, Llama3RoPE):
        if any(getattr(rotary, name) != value for name, value in _LLAMA31_FIELDS.items()):
            built_in = ", ".join(f"{name}={format_number(value)}" for name, value in _LLAMA31_FIELDS.items())
            raise unsupported("MaxText", encoding, f"its llama3.1 has fixed {built_in}. Change its source")
        return {"rope_type": "llama3.1"} | keys
    if isinstance(rotary, YaRN):
        return {"rope_type": "yarn"} | keys | _write_yarn(rotary, context_length)
    raise unsupported("MaxText", encoding, "its rope types are default, llama3.1 and yarn. Use ropelab's own spec")


def _write_yarn(encoding: YaRN, context_length: int | None) -> dict[str, Any]:
    """Return YaRN's keys; the table has max_position_embeddings rows, which must cover the context."""
    fields = {"base", "pairing", "rotary_dim", "factor", "original_length", "beta_fast", "beta_slow", "truncate"}
    check_fields("MaxText", encoding, fields | {"attention_factor", "mscale", "mscale_all_dim"})
    usual = yarn_attention_factor(encoding.factor)
    if encoding.amplitude not in (1.0, usual):
        why = f"rope_attention_scaling gives 1 or {usual:.6g}, not {encoding.amplitude:.6g}. Use one of the two"
        raise unsupported("MaxText", encoding, why)
    factor = _require_integer(encoding, "rope_factor", encoding.factor)
    return {
        "rope_factor": factor,
        "original_max_position_embeddings": encoding.original_length,
        "max_position_embeddings": max(context_length or 0, factor * encoding.original_length),
        "beta_fast": _require_integer(encoding, "beta_fast", encoding.beta_fast),
        "beta_slow": _require_integer(encoding, "beta_slow", encoding.beta_slow),
        "rope_truncate": encoding.truncate,
        "rope_attention_scaling": encoding.amplitude == usual,
        "rope_interleave": encoding.pairing == "interleaved",
    }


def _require_integer(encoding: Encoding, key: str, value: float) -> int:
    """Convert the value of a key that must be an integer in MaxText."""
    if value != int(value):
        raise unsupported("MaxText", encoding, f"{key} must be an integer, not {format_number(value)}. Round it first")
    return int(value)
