"""transformers' `config.json`.

    transformers 5   "rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, ...}
    transformers 4   "rope_theta": 10000.0, "rope_scaling": {"rope_type" or "type": "yarn", "factor": 4.0, ...}

transformers 4 ignores `rope_parameters` silently: a file that has only those gets base 10000 and no scaling there.
Therefore both are written by default; transformers 5 then uses `rope_scaling`. A file that is read may have both if
they agree.

The effect of a key depends on the model class that reads it, and so on `model_type`: transformers' Llama rotates whole
heads and treats all layers alike, so `partial_rotary_factor`, `no_rope_layers` and settings per layer type raise where
it would not apply them. A file without `model_type` is read as a Llama, unless a key selects layers.

Source: transformers 5.24 and 4.56.2, modeling_rope_utils.py and the configuration classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ropelab.encodings.base import Encoding
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.layers import Layers
from ropelab.encodings.longrope import LongRoPE
from ropelab.encodings.nope import NoPE
from ropelab.encodings.rotary import Rotary
from ropelab.errors import CheckpointError
from ropelab.rope_settings import hf_types
from ropelab.rope_settings.base import (
    Setting,
    check_count,
    check_number,
    make_schedule,
    to_common_rotary,
    unsupported,
)
from ropelab.rope_settings.hf_types import MAX_LENGTH, ORIGINAL_LENGTH, PARTIAL_FACTOR

_DEFAULT_BASE = 10000.0  # default of LlamaConfig; configurations of Llama 1 and 2 omit it
_WHERE = "config.json"
_PARTIAL_ROTARY_MODELS = {
    "gpt_neox",
    "nemotron",
    "persimmon",
    "phi",
    "phi3",
    "stablelm",
}  # classes that rotate the first part of a head
_PER_LAYER_TYPE_MODELS = {
    "gemma3_text",
    "gemma3n_text",
    "gemma4_text",
    "laguna",
    "mimo_v2_flash",
    "modernbert",
    "olmo3",
}
_UNREAD_KEYS = {
    "text_config": "the model has several parts; pass only the value of text_config",
    "rope_local_base_freq": "a second base, for the sliding layers; write rope_parameters per layer type",
    "local_rope_theta": "a second base, for the local layers; write rope_parameters per layer type",
    "layer_rope_theta": "a base for each layer; write rope_parameters per layer type",
    "attn_temperature_tuning": "it adds a temperature to queries; set it to false, or use Temperature(inner=...)",
    "use_logn_attn": "it scales queries by log n; set it to false, or use LogN(inner=...)",
    "qk_rope_head_dim": "latent attention rotates a separate part, which no encoding here supports",
    "alibi": "positions are biases, not rotations; use ALiBi()",
}
_OUTER_KEYS = ("rope_theta", PARTIAL_FACTOR)  # keys next to rope_scaling in transformers 4
_ON_BY_DEFAULT = {("llama4_text", "attn_temperature_tuning")}


def from_hf(config: Mapping[str, Any]) -> Encoding:
    """Return the encoding of a Hugging Face `config.json` of transformers 4 or 5.

    Raises:
        CheckpointError: for unknown, missing or contradictory types or keys.
    """
    return read(config).encoding


def read(config: Mapping[str, Any]) -> Setting:
    """Read the encoding and the context length; for `dynamic`, max_position_embeddings is the trained length."""
    if not isinstance(config.get("model_type"), str | None):
        raise CheckpointError(f"{_WHERE}: model_type is {config['model_type']!r}, not a name")
    for key, why in _UNREAD_KEYS.items():
        if config.get(key, (config.get("model_type"), key) in _ON_BY_DEFAULT):
            raise CheckpointError(f"{_WHERE}: {key} is not read: {why}")
    rope = _merge_objects(config)
    nested = any(isinstance(value, Mapping) for value in rope.values())
    if not nested and config.get("model_type") in _PER_LAYER_TYPE_MODELS:
        raise CheckpointError(f"{_WHERE}: model_type {config['model_type']} needs rope_parameters per layer type")
    rotated = hf_types.read_rotated_layers(config)
    if nested:
        layers = hf_types.read_layer_types(config, rope, lambda part: _read_entry(config, part, nested=True))
    else:
        layers = [_read_entry(config, rope) if any(rotated or [True]) else NoPE()] * len(rotated or [True])
    rotated = rotated or [True] * len(layers)
    if len(rotated) != len(layers):
        raise CheckpointError(f"{_WHERE}: {hf_types.NO_ROPE_LAYERS} and {hf_types.LAYER_TYPES} differ in length")
    encoding = make_schedule([e if is_rotated else NoPE() for e, is_rotated in zip(layers, rotated, strict=True)])
    is_dynamic = any(isinstance(kind, DynamicNTK) for kind in encoding.unique_encodings())
    length = check_count(_WHERE, MAX_LENGTH, config.get(MAX_LENGTH))
    return Setting(encoding, None if is_dynamic else length)


def _merge_objects(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rope object of either version, or both merged; empty if there is none."""
    objects = []
    for name in ("rope_parameters", "rope_scaling"):
        value = config.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise CheckpointError(f"{_WHERE}: {name} holds a {type(value).__name__}, not a JSON object")
        objects.append(dict(value or {}))
    new, old = objects
    if new and old:
        for key in sorted({*_normalize_type(new), *_normalize_type(old)}):
            values = [_normalize_type(rope).get(key) for rope in objects]
            if values[0] != values[1] and not (key in _OUTER_KEYS and None in values):
                raise CheckpointError(
                    f"{_WHERE} has both rope_parameters and rope_scaling, and they differ in {key}: {values[0]!r} and "
                    f"{values[1]!r}; transformers 4 reads the latter, so keep one"
                )
    return old | new


def _normalize_type(rope: Mapping[str, Any]) -> dict[str, Any]:
    """Rename `type` to the newer `rope_type`."""
    return {"rope_type": rope.get("type", "default")} | {key: value for key, value in rope.items() if key != "type"}


def _read_entry(config: Mapping[str, Any], settings: Mapping[str, Any], *, nested: bool = False) -> Encoding:
    """Read the encoding of one rope object and of the keys next to it."""
    if not isinstance(settings, Mapping):
        raise CheckpointError(f"{_WHERE}: rope settings of a layer type are an object or null, not {settings!r}")
    rope = dict(settings)
    kind = _require_equal("rope types", [rope.pop(k) for k in ("rope_type", "type") if k in rope], "default")
    if not isinstance(kind, str):
        raise CheckpointError(f"{_WHERE}: the rope type is {kind!r}, not a name")
    model = config.get("model_type")
    if (kind == "su" and model in (None, "phi3")) or (kind == "yarn" and model == "phi3"):
        kind = "longrope"  # only Phi3Config does so; "su" fails in all other classes
    base = _read_base(config, rope, nested)
    if kind in hf_types.ROPE_TYPES and ORIGINAL_LENGTH in hf_types.ROPE_TYPES[kind].required:
        rope[ORIGINAL_LENGTH] = _require_equal(
            f"values of {ORIGINAL_LENGTH}", _pop_values(ORIGINAL_LENGTH, rope, config), None
        )
    part = _require_equal(f"values of {PARTIAL_FACTOR}", _pop_values(PARTIAL_FACTOR, rope, config), None)
    turned = None
    if kind == "proportional":
        rope[PARTIAL_FACTOR] = part
    else:
        turned = _read_rotary_dim(config, part)
    if nested and rope.get("truncate") is False:
        raise CheckpointError(f"{_WHERE}: transformers ignores truncate=false per layer type; write the settings flat")
    return hf_types.build_encoding(kind, rope, config, base=base, rotary_dim=turned)


def _read_base(config: Mapping[str, Any], rope: dict[str, Any], nested: bool) -> Any:
    """Read rope_theta; a value next to settings per layer type applies to the types that have none."""
    values = _pop_values("rope_theta", rope, config)
    base = _require_equal("values of rope_theta", values[:1] if nested else values, None)
    if base is None and (nested or config.get("model_type") not in (None, "llama")):
        raise CheckpointError(f"{_WHERE}: rope_theta is missing, and the default depends on the model class; add it")
    return _DEFAULT_BASE if base is None else base


def _pop_values(key: str, rope: dict[str, Any], beside: Mapping[str, Any]) -> list[Any]:
    """Collect the values of a key in the settings, from which it is removed, and next to them."""
    return [value for value in (rope.pop(key, None), beside.get(key)) if value is not None]


def _require_equal(what: str, values: list[Any], default: Any) -> Any:
    """Return the value if all are equal, or the default if there is none."""
    if any(value != values[0] for value in values):
        raise CheckpointError(f"{_WHERE} has two {what}, {' and '.join(map(repr, values))}; keep one")
    return values[0] if values else default


def _read_rotary_dim(config: Mapping[str, Any], part: Any) -> int | None:
    """Read `rotary_dim` for models that rotate a part of each head."""
    model = config.get("model_type")
    if model in _PARTIAL_ROTARY_MODELS - {"phi3"} and part is None:
        raise CheckpointError(f"{_WHERE}: {PARTIAL_FACTOR} is missing, and the default of {model} differs; add it")
    if part in (None, 1):
        return None
    if model not in _PARTIAL_ROTARY_MODELS:
        raise CheckpointError(
            f"{_WHERE}: {PARTIAL_FACTOR} is not 1; transformers' {model or 'llama'} does not apply it"
        )
    dim = read_head_dim(config)
    if dim is None:
        raise CheckpointError(
            f"{_WHERE}: {PARTIAL_FACTOR}={part} needs head_dim, or hidden_size and num_attention_heads"
        )
    return int(dim * check_number(_WHERE, PARTIAL_FACTOR, part))


def read_head_dim(config: Mapping[str, Any]) -> int | None:
    """Read the head dimension, or compute it from the model's sizes; None if they are missing."""
    names = ("head_dim", "hidden_size", "num_attention_heads")
    stated, width, heads = (check_count(_WHERE, name, config.get(name)) for name in names)
    return stated or (width // heads if width and heads else None)


# rope_theta and partial_rotary_factor under their names in transformers 4
_VERSION_4_NAMES = {"gpt_neox": ("rotary_emb_base", "rotary_pct")}


def to_hf(
    encoding: Encoding,
    *,
    head_dim: int | None = None,
    context_length: int | None = None,
    model_type: str | None = None,
    layer_types: Sequence[str] | None = None,
    layers: int | None = None,
    version: int | None = None,
) -> dict[str, Any]:
    """Return the keys of `config.json` for an encoding.

    Args:
        head_dim: needed for NTK, whose base depends on it, and for partial rotation.
        context_length: written as `max_position_embeddings`.
        model_type: written to the file. Llama supports neither partial rotation nor layers without rotation.
        layer_types: the type of each layer, to write a schedule by types. Types also select the attention pattern.
        layers: the number of layers; one period of the schedule by default.
        version: 5 writes only `rope_parameters`, 4 only `rope_theta` and `rope_scaling`, None both.

    Raises:
        CheckpointError: if transformers cannot express the encoding.
    """
    if version not in (4, 5, None):
        raise ValueError(f"version={version} of transformers is not supported; use 4, 5 or None (both)")
    about: dict[str, Any] = {} if model_type is None else {"model_type": model_type}
    about |= {} if context_length is None else {MAX_LENGTH: context_length}
    each = encoding.schedule if isinstance(encoding, Layers) else (encoding,)
    if layer_types is not None:
        return about | _write_layer_types(encoding, each, layer_types, head_dim, version)
    rotating = {e for e in each if not isinstance(e, NoPE)}
    if len(rotating) > 1:
        why = "its layers rotate differently. Set layer_types=, one type for each layer"
        raise unsupported("transformers", encoding, why)
    for rotary in rotating:
        about |= _write_flat(rotary, head_dim, model_type, version, about)
    if any(isinstance(e, NoPE) for e in each):
        if model_type == "llama":
            raise unsupported(
                "transformers' Llama", encoding, f"it does not read {hf_types.NO_ROPE_LAYERS}. Set another model_type"
            )
        depth = layers or len(each)
        about[hf_types.NO_ROPE_LAYERS] = [int(not isinstance(each[i % len(each)], NoPE)) for i in range(depth)]
        about[hf_types.NUM_LAYERS] = depth
    return about


def _write_flat(
    encoding: Encoding, head_dim: int | None, model_type: str | None, version: int | None, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the keys of one setting for all rotated layers."""
    rotary, kind, keys = _rope_parameters(encoding, head_dim)
    beside: dict[str, Any] = {}
    if isinstance(rotary, DynamicNTK):
        if about.get(MAX_LENGTH, rotary.original_length) != rotary.original_length:
            why = f"{MAX_LENGTH} is its trained length, so the context has no key. Omit context_length"
            raise unsupported("transformers", encoding, why)
        beside[MAX_LENGTH] = rotary.original_length
    if rotary.rotary_dim is not None and rotary.rotary_dim != head_dim:
        if (
            model_type not in _PARTIAL_ROTARY_MODELS
            or head_dim is None
            or int(head_dim * (rotary.rotary_dim / head_dim)) != rotary.rotary_dim
        ):
            models = ", ".join(sorted(_PARTIAL_ROTARY_MODELS))
            why = f"only model_type {models} rotates a part of each head. Set one of them, and head_dim="
            raise unsupported(f"transformers' {model_type or 'llama'}", encoding, why)
        keys[PARTIAL_FACTOR], beside["head_dim"] = rotary.rotary_dim / head_dim, head_dim
    found: dict[str, Any] = {}
    if version != 5:
        found |= _write_version_4(rotary, kind, keys, model_type)
    if version != 4:
        found["rope_parameters"] = {"rope_type": kind, "rope_theta": rotary.base} | keys
    return beside | found


def _write_version_4(rotary: Rotary, kind: str, keys: dict[str, Any], model_type: str | None) -> dict[str, Any]:
    """Return the keys that transformers 4 reads."""
    base, part = _VERSION_4_NAMES.get(model_type or "llama", ("rope_theta", PARTIAL_FACTOR))
    found: dict[str, Any] = {base: rotary.base}
    scaling = {key: value for key, value in keys.items() if key != PARTIAL_FACTOR}
    if kind == "proportional":
        scaling = keys
    elif PARTIAL_FACTOR in keys:
        found[part] = keys[PARTIAL_FACTOR]
    if isinstance(rotary, LongRoPE):  # its factor is max_position_embeddings / this; `factor` is ignored
        found[ORIGINAL_LENGTH] = rotary.original_length
        keys["attention_factor"] = scaling["attention_factor"] = rotary.amplitude
    return found | {"rope_scaling": {"rope_type": kind} | scaling if scaling else None}


def _write_layer_types(
    encoding: Encoding, each: Sequence[Encoding], names: Sequence[str], head_dim: int | None, version: int | None
) -> dict[str, Any]:
    """Return the keys of one setting per layer type."""
    if version == 4:
        raise unsupported("transformers 4", encoding, "settings per layer type need version 5. Set version=5")
    found: dict[str, Any] = {}
    for i, name in enumerate(names):
        if found.setdefault(name, each[i % len(each)]) != each[i % len(each)]:
            raise unsupported("transformers", encoding, f"layers of type {name!r} differ. Use separate types")
    settings: dict[str, Any] = dict.fromkeys(found)
    for name, kind in found.items():
        if not isinstance(kind, NoPE):
            rotary, rope_type, keys = _rope_parameters(kind, head_dim)
            if rotary.rotary_dim is not None or keys.get("truncate") is False or isinstance(rotary, DynamicNTK):
                why = "partial rotation, truncate=False and dynamic scaling cannot be set per layer type"
                raise unsupported("transformers", kind, f"{why}. Omit layer_types")
            settings[name] = {"rope_type": rope_type, "rope_theta": rotary.base} | keys
    return {hf_types.LAYER_TYPES: list(names), hf_types.NUM_LAYERS: len(names), "rope_parameters": settings}


def _rope_parameters(encoding: Encoding, head_dim: int | None) -> tuple[Rotary, str, dict[str, Any]]:
    """Return `(encoding, rope type, keys)` in a form that transformers can express."""
    rotary = to_common_rotary("transformers", encoding, head_dim)
    return rotary, *hf_types.write_keys(rotary)
