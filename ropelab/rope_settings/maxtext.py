"""MaxText's flat keys ⇄ an encoding.

    rope_type "default"    base rope_max_timescale, all divided by rope_linear_scaling_factor
    rope_type "llama3.1"   Llama 3.1's scaling with 8, 1, 4 and 8192 built in, off with rope_use_scale: false
    rope_type "yarn"       rope_factor, beta_fast, beta_slow integers; a temperature with rope_attention_scaling only
    nope_layer_interval    every n-th layer without rotation, in decoder_block "llama4"

A key that is not given has the value of MaxText's base.yml, which is not that of other engines: yarn alone means factor
40 from 4096 in neighbouring pairs and no temperature. A key that the type does not read may only have that value.

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
MODEL_KEYS = {"decoder_block", _LENGTH}  # belong to the whole model
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
    """The encoding that MaxText would run under these keys, the others as in its base.yml.

    Raises:
        CheckpointError: for a key that is unknown, or that the rope type would not read.
    """
    return read(keys).encoding


def read(keys: Mapping[str, Any]) -> Setting:
    """The encoding and the context length of max_target_length."""
    for key in keys:
        if key not in DEFAULTS and key not in MODEL_KEYS:
            raise unknown_key(_WHERE, key, [*DEFAULTS, *MODEL_KEYS])
    rope = DEFAULTS | {key: value for key, value in keys.items() if key in DEFAULTS}
    kind = rope["rope_type"]
    if not isinstance(kind, str) or kind not in _KEYS_BY_TYPE:
        raise unknown_key(f"{_WHERE}: rope_type", str(kind), _KEYS_BY_TYPE)
    for key, value in rope.items():
        if key not in _KEYS_BY_TYPE[kind] and value != DEFAULTS[key]:
            raise CheckpointError(f"{_WHERE}: {key}={value!r} is not read with rope_type {kind!r}; leave it out")
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
    """The encoding of a layer with rotation."""
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
    """Every n-th layer without rotation, where the decoder block reads that."""
    interval = rope["nope_layer_interval"]
    if interval is None:
        return encoding
    if block != "llama4":
        raise CheckpointError(
            f"{_WHERE}: nope_layer_interval={interval} is read with decoder_block llama4, not {block!r}"
        )
    return make_schedule([encoding] * (interval - 1) + [NoPE()])


def to_maxtext(encoding: Encoding, *, head_dim: int, context_length: int | None = None) -> dict[str, Any]:
    """The keys that make MaxText run an encoding.

    Raises:
        CheckpointError: for what its keys cannot say.
    """
    about: dict[str, Any] = {} if context_length is None else {_LENGTH: context_length}
    if isinstance(encoding, Layers):
        *turning, last = encoding.schedule
        if len(set(turning)) != 1 or not isinstance(last, NoPE):
            why = "its schedule is n - 1 layers alike and one without rotation. Run it from ropelab's own spec"
            raise unsupported("MaxText", encoding, why)
        about |= {"decoder_block": "llama4", "nope_layer_interval": len(encoding.schedule)}
        encoding = turning[0]
    return about | _write_rope(encoding, head_dim, context_length)


def _write_rope(encoding: Encoding, head_dim: int, context_length: int | None) -> dict[str, Any]:
    """The keys of one layer with rotation."""
    neighbours = isinstance(encoding, YaRN) and encoding.pairing == "interleaved"
    rotary = encoding if isinstance(encoding, YaRN) and neighbours else to_common_rotary("MaxText", encoding, head_dim)
    if rotary.turned(head_dim) != head_dim:
        raise unsupported("MaxText", encoding, "partial_rotary_factor acts in qwen3_next only. Leave rotary_dim out")
    keys: dict[str, Any] = {_BASE: _require_integer(encoding, _BASE, rotary.known_base())}
    if isinstance(rotary, RoPE | PI):
        factor = {"rope_linear_scaling_factor": rotary.factor} if isinstance(rotary, PI) else {}
        return {"rope_type": "default"} | keys | factor
    if isinstance(rotary, Llama3RoPE):
        if any(getattr(rotary, name) != value for name, value in _LLAMA31_FIELDS.items()):
            built_in = ", ".join(f"{name}={format_number(value)}" for name, value in _LLAMA31_FIELDS.items())
            raise unsupported("MaxText", encoding, f"its llama3.1 has {built_in} built in. Change its source")
        return {"rope_type": "llama3.1"} | keys
    if isinstance(rotary, YaRN):
        return {"rope_type": "yarn"} | keys | _write_yarn(rotary, context_length)
    raise unsupported(
        "MaxText", encoding, "its rope types are default, llama3.1 and yarn. Run it from ropelab's own spec"
    )


def _write_yarn(encoding: YaRN, context_length: int | None) -> dict[str, Any]:
    """YaRN's keys; the table of max_position_embeddings rows has to reach as far as the context."""
    said = {"base", "pairing", "rotary_dim", "factor", "original_length", "beta_fast", "beta_slow", "truncate"}
    check_fields("MaxText", encoding, said | {"attention_factor", "mscale", "mscale_all_dim"})
    usual = yarn_attention_factor(encoding.factor)
    if encoding.amplitude not in (1.0, usual):
        why = f"rope_attention_scaling gives 1 or {usual:.6g}, never {encoding.amplitude:.6g}. Choose one of the two"
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
    """The value of a key that MaxText types as an integer."""
    if value != int(value):
        raise unsupported(
            "MaxText", encoding, f"{key} is an integer, and {format_number(value)} is none. Round it first"
        )
    return int(value)
