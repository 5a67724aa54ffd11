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

from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.knobs.hf_layers import schedule
from ropelab.checkpoints.knobs.setting import (
    Setting,
    cannot_say,
    check_rest,
    digits,
    real,
    rotary_of,
    unknown_key,
    whole,
)
from ropelab.encodings.base import Encoding
from ropelab.encodings.layers import Layers
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.nope import NoPE
from ropelab.encodings.pi import PI
from ropelab.encodings.rope import RoPE
from ropelab.encodings.rotary import Rotary
from ropelab.encodings.yarn import YaRN, yarn_attention_factor

WHERE = "MaxText keys"
BASE, LENGTH = "rope_max_timescale", "max_target_length"
DEFAULTS: dict[str, Any] = {  # base.yml
    "rope_type": "default", BASE: 10000, "rope_min_timescale": 1, "rope_linear_scaling_factor": 1.0,
    "rope_use_scale": True, "max_position_embeddings": 163840, "original_max_position_embeddings": 4096,
    "rope_factor": 40, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "rope_interleave": True, "rope_truncate": True,
    "rope_attention_scaling": False, "local_rope_max_timescale": -1, "global_rope_max_timescale": -1,
    "partial_rotary_factor": 1.0, "nope_layer_interval": -1, "use_mrope": False,
}  # fmt: skip
OUTSIDE = {"decoder_block", LENGTH}  # belong to the whole model
COMMON = {"rope_type", BASE, "nope_layer_interval"}
READ = {
    "default": COMMON | {"rope_linear_scaling_factor"},
    "llama3.1": COMMON | {"rope_use_scale"},
    "yarn": COMMON
    | {"max_position_embeddings", "original_max_position_embeddings", "rope_factor", "beta_fast", "beta_slow"}
    | {"rope_interleave", "rope_truncate", "rope_attention_scaling"},
}
INTEGERS = {BASE, "rope_factor", "beta_fast", "beta_slow"}  # typed so: 20221.26 does not load
BUILT_IN = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_length": 8192}


def from_maxtext(keys: Mapping[str, Any]) -> Encoding:
    """The encoding that MaxText would run under these keys, the others as in its base.yml.

    Raises:
        CheckpointError: for a key that is unknown, or that the rope type would not read.
    """
    return read(keys).encoding


def read(keys: Mapping[str, Any]) -> Setting:
    """The encoding and the context length of max_target_length."""
    for key in keys:
        if key not in DEFAULTS and key not in OUTSIDE:
            raise unknown_key(WHERE, key, [*DEFAULTS, *OUTSIDE])
    rope = DEFAULTS | {key: value for key, value in keys.items() if key in DEFAULTS}
    kind = rope["rope_type"]
    if not isinstance(kind, str) or kind not in READ:
        raise unknown_key(f"{WHERE}: rope_type", str(kind), READ)
    for key, value in rope.items():
        if key not in READ[kind] and value != DEFAULTS[key]:
            raise CheckpointError(f"{WHERE}: {key}={value!r} is not read with rope_type {kind!r}; leave it out")
        if key in INTEGERS & READ[kind] and real(WHERE, key, value) != int(value):
            raise CheckpointError(f"{WHERE}: {key}={value!r} must be an integer in MaxText")
    interval = rope["nope_layer_interval"]
    rope["nope_layer_interval"] = None if interval == -1 else whole(WHERE, "nope_layer_interval", interval)
    try:
        encoding = build(kind, rope)
    except (ValueError, OverflowError) as error:
        raise CheckpointError(f"{WHERE}: {error}") from None
    return Setting(with_gaps(encoding, rope, keys.get("decoder_block")), whole(WHERE, LENGTH, keys.get(LENGTH)))


def build(kind: str, rope: Mapping[str, Any]) -> Rotary:
    """The encoding of a layer with rotation."""
    base = float(rope[BASE])
    if kind == "default":
        factor = rope["rope_linear_scaling_factor"]
        return RoPE(base=base) if factor == 1.0 else PI(base=base, factor=factor)
    if kind == "llama3.1":
        return Llama3RoPE(base=base, **BUILT_IN) if rope["rope_use_scale"] else RoPE(base=base)
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


def with_gaps(encoding: Rotary, rope: Mapping[str, Any], block: Any) -> Encoding:
    """Every n-th layer without rotation, where the decoder block reads that."""
    interval = rope["nope_layer_interval"]
    if interval is None:
        return encoding
    if block != "llama4":
        raise CheckpointError(
            f"{WHERE}: nope_layer_interval={interval} is read with decoder_block llama4, not {block!r}"
        )
    return schedule([encoding] * (interval - 1) + [NoPE()])


def to_maxtext(encoding: Encoding, *, head_dim: int, context_length: int | None = None) -> dict[str, Any]:
    """The keys that make MaxText run an encoding.

    Raises:
        CheckpointError: for what its keys cannot say.
    """
    about: dict[str, Any] = {} if context_length is None else {LENGTH: context_length}
    if isinstance(encoding, Layers):
        *turning, last = encoding.schedule
        if len(set(turning)) != 1 or not isinstance(last, NoPE):
            why = "its schedule is n - 1 layers alike and one without rotation. Run it from ropelab's own spec"
            raise cannot_say("MaxText", encoding, why)
        about |= {"decoder_block": "llama4", "nope_layer_interval": len(encoding.schedule)}
        encoding = turning[0]
    return about | rope_keys(encoding, head_dim, context_length)


def rope_keys(encoding: Encoding, head_dim: int, context_length: int | None) -> dict[str, Any]:
    """The keys of one layer with rotation."""
    neighbours = isinstance(encoding, YaRN) and encoding.pairing == "interleaved"
    rotary = encoding if isinstance(encoding, YaRN) and neighbours else rotary_of("MaxText", encoding, head_dim)
    if rotary.rotated_dims(head_dim) != head_dim:
        raise cannot_say("MaxText", encoding, "partial_rotary_factor acts in qwen3_next only. Leave rotary_dim out")
    keys: dict[str, Any] = {BASE: integer(encoding, BASE, rotary.require_base())}
    if isinstance(rotary, RoPE | PI):
        factor = {"rope_linear_scaling_factor": rotary.factor} if isinstance(rotary, PI) else {}
        return {"rope_type": "default"} | keys | factor
    if isinstance(rotary, Llama3RoPE):
        if any(getattr(rotary, name) != value for name, value in BUILT_IN.items()):
            built_in = ", ".join(f"{name}={digits(value)}" for name, value in BUILT_IN.items())
            raise cannot_say("MaxText", encoding, f"its llama3.1 has {built_in} built in. Change its source")
        return {"rope_type": "llama3.1"} | keys
    if isinstance(rotary, YaRN):
        return {"rope_type": "yarn"} | keys | yarn_keys(rotary, context_length)
    raise cannot_say(
        "MaxText", encoding, "its rope types are default, llama3.1 and yarn. Run it from ropelab's own spec"
    )


def yarn_keys(encoding: YaRN, context_length: int | None) -> dict[str, Any]:
    """YaRN's keys; the table of max_position_embeddings rows has to reach as far as the context."""
    said = {"base", "pairing", "rotary_dim", "factor", "original_length", "beta_fast", "beta_slow", "truncate"}
    check_rest("MaxText", encoding, said | {"attention_factor", "mscale", "mscale_all_dim"})
    usual = yarn_attention_factor(encoding.factor)
    if encoding.amplitude not in (1.0, usual):
        why = f"rope_attention_scaling gives 1 or {usual:.6g}, never {encoding.amplitude:.6g}. Choose one of the two"
        raise cannot_say("MaxText", encoding, why)
    factor = integer(encoding, "rope_factor", encoding.factor)
    return {
        "rope_factor": factor,
        "original_max_position_embeddings": encoding.original_length,
        "max_position_embeddings": max(context_length or 0, factor * encoding.original_length),
        "beta_fast": integer(encoding, "beta_fast", encoding.beta_fast),
        "beta_slow": integer(encoding, "beta_slow", encoding.beta_slow),
        "rope_truncate": encoding.truncate,
        "rope_attention_scaling": encoding.amplitude == usual,
        "rope_interleave": encoding.pairing == "interleaved",
    }


def integer(encoding: Encoding, key: str, value: float) -> int:
    """The value of a key that MaxText types as an integer."""
    if value != int(value):
        raise cannot_say("MaxText", encoding, f"{key} is an integer, and {digits(value)} is none. Round it first")
    return int(value)
