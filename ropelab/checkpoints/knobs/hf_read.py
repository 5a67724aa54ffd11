"""transformers' `config.json` → an encoding.

    transformers 5   "rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, ...}
    transformers 4   "rope_theta": 10000.0, "rope_scaling": {"rope_type" or "type": "yarn", "factor": 4.0, ...}

A file may have both, as `hf_write` writes it for both versions; they must agree.

What a key does depends on the model class that reads it, and so on `model_type`: transformers' Llama turns whole heads
and all layers alike, so that `partial_rotary_factor`, `no_rope_layers` and settings per layer type are refused where
it would not apply them. A file without `model_type` is read as a Llama's, unless a key says which layers are meant.

Source: transformers 5.23, modeling_rope_utils.py and the configuration classes.
"""

from collections.abc import Mapping
from typing import Any

from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.knobs import hf_layers, hf_types
from ropelab.checkpoints.knobs.hf_types import L0, LENGTH, PARTIAL
from ropelab.checkpoints.knobs.setting import Setting, real, whole
from ropelab.encodings.base import Encoding
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.nope import NoPE

DEFAULT_BASE = 10000.0  # LlamaConfig's own; Llama 1 and 2 configurations do not state it
WHERE = "config.json"
SLICED = {"gpt_neox", "nemotron", "persimmon", "phi", "phi3", "stablelm"}  # classes that turn the first part of a head
NESTED = {"gemma3_text", "gemma3n_text", "gemma4_text", "laguna", "mimo_v2_flash", "modernbert", "olmo3"}
UNREAD = {
    "text_config": "this is a model of several parts; give the value of text_config alone",
    "rope_local_base_freq": "a second base, for the sliding layers; write rope_parameters per layer type",
    "local_rope_theta": "a second base, for the local layers; write rope_parameters per layer type",
    "layer_rope_theta": "a base for each layer; write rope_parameters per layer type",
    "attn_temperature_tuning": "queries have a temperature besides; set it to false, or use Temperature(inner=...)",
    "use_logn_attn": "queries are scaled by log n besides; set it to false, or use LogN(inner=...)",
    "qk_rope_head_dim": "latent attention turns a part of its own; there is no encoding for it here",
    "alibi": "positions are biases, not rotations; use ALiBi()",
}
BESIDE = ("rope_theta", PARTIAL)  # keys that stand beside rope_scaling in transformers 4
ON_BY_DEFAULT = {("llama4_text", "attn_temperature_tuning")}


def from_hf(config: Mapping[str, Any]) -> Encoding:
    """The encoding of a Hugging Face `config.json`, of transformers 4 or 5.

    Raises:
        CheckpointError: for an unknown type or key, a missing one, or two that contradict each other.
    """
    return read(config).encoding


def read(config: Mapping[str, Any]) -> Setting:
    """The encoding and the context length; `dynamic` takes max_position_embeddings as the trained length."""
    if not isinstance(config.get("model_type"), str | None):
        raise CheckpointError(f"{WHERE}: model_type is {config['model_type']!r}, not a name")
    for key, why in UNREAD.items():
        if config.get(key, (config.get("model_type"), key) in ON_BY_DEFAULT):
            raise CheckpointError(f"{WHERE}: {key} is not read: {why}")
    rope = rope_settings(config)
    nested = any(isinstance(value, Mapping) for value in rope.values())
    if not nested and config.get("model_type") in NESTED:
        raise CheckpointError(f"{WHERE}: a {config['model_type']} needs rope_parameters per layer type, as it has two")
    has = hf_layers.rotated(config)
    if nested:
        layers = hf_layers.by_type(config, rope, lambda part: one(config, part, nested=True))
    else:
        layers = [one(config, rope) if any(has or [True]) else NoPE()] * len(has or [True])
    has = has or [True] * len(layers)
    if len(has) != len(layers):
        raise CheckpointError(f"{WHERE}: {hf_layers.ROTATED} and {hf_layers.TYPES} differ in length")
    encoding = hf_layers.schedule([e if h else NoPE() for e, h in zip(layers, has, strict=True)])
    grows = any(isinstance(kind, DynamicNTK) for kind in encoding.unique_encodings())
    length = whole(WHERE, LENGTH, config.get(LENGTH))
    return Setting(encoding, None if grows else length)


def rope_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The object of either transformers, as it stands; empty where there is none."""
    found = []
    for name in ("rope_parameters", "rope_scaling"):
        value = config.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise CheckpointError(f"{WHERE}: {name} holds a {type(value).__name__}, not a JSON object")
        found.append(dict(value or {}))
    new, old = found
    if new and old:
        for key in sorted({*normal(new), *normal(old)}):
            said = [normal(rope).get(key) for rope in found]
            if said[0] != said[1] and not (key in BESIDE and None in said):
                raise CheckpointError(
                    f"{WHERE} has both rope_parameters and rope_scaling, and they differ in {key}: {said[0]!r} and "
                    f"{said[1]!r}; transformers 4 reads the latter, so keep one"
                )
    return old | new


def normal(rope: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the newer name of the type."""
    return {"rope_type": rope.get("type", "default")} | {key: value for key, value in rope.items() if key != "type"}


def one(config: Mapping[str, Any], settings: Mapping[str, Any], *, nested: bool = False) -> Encoding:
    """The encoding of one object of settings, and of what stands beside it."""
    if not isinstance(settings, Mapping):
        raise CheckpointError(f"{WHERE}: rope settings of a layer type are an object or null, not {settings!r}")
    rope = dict(settings)
    kind = agreed("rope types", [rope.pop(k) for k in ("rope_type", "type") if k in rope], "default")
    if not isinstance(kind, str):
        raise CheckpointError(f"{WHERE}: the rope type is {kind!r}, not a name")
    model = config.get("model_type")
    if (kind == "su" and model in (None, "phi3")) or (kind == "yarn" and model == "phi3"):
        kind = "longrope"  # Phi3Config alone does so; "su" fails in any other class
    base = base_of(config, rope, nested)
    if kind in hf_types.KINDS and L0 in hf_types.KINDS[kind].required:
        rope[L0] = agreed(f"values of {L0}", stated(L0, rope, config), None)
    part = agreed(f"values of {PARTIAL}", stated(PARTIAL, rope, config), None)
    turned = None
    if kind == "proportional":
        rope[PARTIAL] = part
    else:
        turned = turned_part(config, part)
    if nested and rope.get("truncate") is False:
        raise CheckpointError(f"{WHERE}: transformers ignores truncate=false per layer type; write the settings flat")
    return hf_types.build(kind, rope, config, base=base, rotary_dim=turned)


def base_of(config: Mapping[str, Any], rope: dict[str, Any], nested: bool) -> Any:
    """rope_theta, taken from the settings; what stands beside settings per layer type is for those without one."""
    values = stated("rope_theta", rope, config)
    base = agreed("values of rope_theta", values[:1] if nested else values, None)
    if base is None and (nested or config.get("model_type") not in (None, "llama")):
        raise CheckpointError(f"{WHERE}: no rope_theta, and a model class may have a default of its own; write it")
    return DEFAULT_BASE if base is None else base


def stated(key: str, rope: dict[str, Any], beside: Mapping[str, Any]) -> list[Any]:
    """The values of a key that may stand in the settings, from which it is taken, and beside them."""
    return [value for value in (rope.pop(key, None), beside.get(key)) if value is not None]


def agreed(what: str, values: list[Any], default: Any) -> Any:
    """The one value that is stated once or more."""
    if any(value != values[0] for value in values):
        raise CheckpointError(f"{WHERE} has two {what}, {' and '.join(map(repr, values))}; keep one")
    return values[0] if values else default


def turned_part(config: Mapping[str, Any], part: Any) -> int | None:
    """`rotary_dim` where a model turns a part of each head and a class that does so reads the file."""
    model = config.get("model_type")
    if model in SLICED - {"phi3"} and part is None:
        raise CheckpointError(f"{WHERE}: no {PARTIAL}, and a {model} has a default of its own; write it")
    if part in (None, 1):
        return None
    if model not in SLICED:
        raise CheckpointError(f"{WHERE}: {PARTIAL} is not 1; transformers' {model or 'llama'} does not apply it")
    dim = head_dim_of(config)
    if dim is None:
        raise CheckpointError(f"{WHERE}: {PARTIAL}={part} needs head_dim, or hidden_size and num_attention_heads")
    return int(dim * real(WHERE, PARTIAL, part))


def head_dim_of(config: Mapping[str, Any]) -> int | None:
    """Dimensions of a head, if the file says so or has what they follow from."""
    names = ("head_dim", "hidden_size", "num_attention_heads")
    stated, width, heads = (whole(WHERE, name, config.get(name)) for name in names)
    return stated or (width // heads if width and heads else None)
