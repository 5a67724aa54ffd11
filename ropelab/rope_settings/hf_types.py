"""Rope types of transformers 5.23, and the schedules of layers that its configurations express.

`ROPE_TYPES` maps each type to an encoding and each of its keys to a field; it is used in both directions. `idle` keys
are written by some tools and have no effect.

Schedules have two forms: `layer_types` has a type for each layer, and `rope_parameters` has settings for each type
(null: no rotation); or there is one setting for all layers and `no_rope_layers`, in which a 1 means that the layer
*has* rotation (Llama-4, SmolLM3), in spite of its name.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ropelab.encodings.base import Encoding
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.longrope import LongRoPE, longrope_attention_factor
from ropelab.encodings.nope import NoPE
from ropelab.encodings.pi import PI
from ropelab.encodings.proportional import ProportionalRoPE
from ropelab.encodings.rope import RoPE
from ropelab.encodings.rotary import Rotary
from ropelab.encodings.yarn import YaRN
from ropelab.errors import CheckpointError
from ropelab.rope_settings.base import check_count, check_fields, check_number, unsupported
from ropelab.spec import suggest_name

ORIGINAL_LENGTH, MAX_LENGTH = "original_max_position_embeddings", "max_position_embeddings"
PARTIAL_FACTOR = "partial_rotary_factor"


class RopeType(NamedTuple):
    """A rope type: its encoding, and the field for each required and optional key."""

    encoding: type[Rotary]
    required: Mapping[str, str]
    optional: Mapping[str, str]
    idle: frozenset[str] = frozenset()

    @property
    def fields(self) -> dict[str, str]:
        """The field for each key."""
        return {**self.required, **self.optional}


def _same_names(*names: str) -> dict[str, str]:
    return {name: name for name in names}


ROPE_TYPES = {
    "default": RopeType(RoPE, {}, {}),
    "linear": RopeType(PI, _same_names("factor"), {}),
    # the length is always compared with max_position_embeddings
    "dynamic": RopeType(DynamicNTK, _same_names("factor"), {}, frozenset({ORIGINAL_LENGTH})),
    "yarn": RopeType(
        YaRN,
        {"factor": "factor", ORIGINAL_LENGTH: "original_length"},
        _same_names("attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"),
        frozenset({"finetuned"}),
    ),
    "llama3": RopeType(
        Llama3RoPE,
        _same_names("factor", "low_freq_factor", "high_freq_factor") | {ORIGINAL_LENGTH: "original_length"},
        {},
    ),
    "longrope": RopeType(
        LongRoPE,
        _same_names("short_factor", "long_factor") | {ORIGINAL_LENGTH: "original_length"},
        _same_names("factor", "attention_factor"),
    ),
    "proportional": RopeType(ProportionalRoPE, {PARTIAL_FACTOR: "fraction"}, {}),
}
_TYPE_NAMES = {kind.encoding: name for name, kind in ROPE_TYPES.items()}


def _check_keys(name: str, rope: Mapping[str, Any]) -> RopeType:
    """Return the rope type of this name after checking its keys."""
    if name not in ROPE_TYPES:
        raise CheckpointError(
            f"config.json: unknown rope type {name!r}.{suggest_name(name, ROPE_TYPES)} Known: {', '.join(ROPE_TYPES)}"
        )
    kind = ROPE_TYPES[name]
    known = sorted({*kind.fields, *kind.idle})
    for key in sorted(set(rope) - set(known)):
        hint = suggest_name(key, known)
        raise CheckpointError(f"config.json: rope type {name!r} has no key {key!r}.{hint} It has: {', '.join(known)}")
    missing = sorted(k for k in kind.required if rope.get(k) is None)
    if missing:
        raise CheckpointError(f"config.json: rope type {name!r} needs {', '.join(missing)}")
    return kind


def build_encoding(name: str, rope: Mapping[str, Any], config: Mapping[str, Any], **shared: Any) -> Rotary:
    """Build the encoding of one rope type; `shared` are the fields that all rotary encodings have."""
    kind = _check_keys(name, rope)
    if rope.get(ORIGINAL_LENGTH) is not None and name != "dynamic":  # it is idle for "dynamic"
        check_count("config.json", ORIGINAL_LENGTH, rope[ORIGINAL_LENGTH])
    fields = {field: rope[key] for key, field in kind.fields.items() if rope.get(key) is not None}
    if name == "dynamic":
        fields["original_length"] = _require_length(config, name)
    try:
        if name == "longrope":
            fields |= _longrope_defaults(fields, config)
        return kind.encoding(**shared, **fields)
    except CheckpointError:
        raise
    except (ValueError, OverflowError) as error:  # JSON integers may exceed the floats
        raise CheckpointError(f"config.json, rope type {name!r}: {error}") from None


def _longrope_defaults(fields: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Derive the factor from the lengths, and drop an attention factor that equals the default."""
    original = fields["original_length"]
    factor = fields.get("factor", None)
    factor = (
        _require_length(config, "longrope") / original
        if factor is None
        else check_number("config.json", "factor", factor)
    )
    stated = fields.get("attention_factor")
    usual = original > 1 and stated == longrope_attention_factor(factor, original)
    return {"factor": factor, "attention_factor": None if usual else stated}


def _require_length(config: Mapping[str, Any], name: str) -> int:
    """Read `max_position_embeddings` for the types that require it."""
    length = check_count("config.json", MAX_LENGTH, config.get(MAX_LENGTH))
    if length is None:
        raise CheckpointError(f"config.json: rope type {name!r} needs {MAX_LENGTH}")
    return length


def write_keys(encoding: Rotary) -> tuple[str, dict[str, Any]]:
    """Return `(rope type, its keys)` without defaults: the inverse of `build_encoding`.

    Raises:
        CheckpointError: for an encoding or a field that transformers has no key for.
    """
    name = _TYPE_NAMES.get(type(encoding))
    if name is None:
        why = f"its rope types are {', '.join(ROPE_TYPES)}. Run it from ropelab's own spec"
        raise unsupported("transformers", encoding, why)
    kind = ROPE_TYPES[name]
    beside = {"base", "pairing", "rotary_dim", *(("original_length",) if name == "dynamic" else ())}
    check_fields("transformers", encoding, {*kind.fields.values(), *beside})
    standard = {f: d.default for f, d in type(encoding).__dataclass_fields__.items()}
    values = {key: getattr(encoding, field) for key, field in kind.fields.items()}
    given = {k: v for k, v in values.items() if k in kind.required or v != standard[kind.fields[k]]}
    return name, {k: list(v) if isinstance(v, tuple) else v for k, v in given.items()}


LAYER_TYPES, NO_ROPE_LAYERS, NUM_LAYERS = "layer_types", "no_rope_layers", "num_hidden_layers"
_NOPE_INTERVALS = {"smollm3": 4}  # default interval of the layers without rotation


def read_layer_types(
    config: Mapping[str, Any], rope: Mapping[str, Any], read_one: Callable[[Any], Encoding]
) -> list[Encoding]:
    """Read the encoding of each layer from settings per layer type.

    Args:
        read_one: reads the encoding of one entry.
    """
    kinds = config.get(LAYER_TYPES)
    if config.get("model_type") == "llama" or not kinds:
        raise CheckpointError(
            f"config.json has rope settings per layer type ({', '.join(rope)}); they are not allowed for a Llama, and "
            f"other models need {LAYER_TYPES}"
        )
    _check_depth(config, LAYER_TYPES, kinds)
    if not all(isinstance(name, str) for name in kinds):
        raise CheckpointError(f"config.json: {LAYER_TYPES} is {kinds!r}, not a list of names")
    for name in [*rope, *kinds]:
        if name not in rope:
            raise CheckpointError(
                f"config.json: {LAYER_TYPES} has {name!r}, but rope_parameters does not.{suggest_name(name, rope)}"
            )
        if name not in kinds:
            raise CheckpointError(
                f"config.json: rope_parameters has {name!r}, which is not a layer type.{suggest_name(name, set(kinds))}"
            )
    encodings = {name: NoPE() if value is None else read_one(value) for name, value in rope.items()}
    return [encodings[name] for name in kinds]


def read_rotated_layers(config: Mapping[str, Any]) -> list[bool] | None:
    """Read which layers have rotation; None if the file has no such key."""
    model, flags = config.get("model_type"), config.get(NO_ROPE_LAYERS)
    if flags is None and model in _NOPE_INTERVALS:
        interval = config.get("no_rope_layer_interval", _NOPE_INTERVALS[model])
        depth = check_count("config.json", NUM_LAYERS, config.get(NUM_LAYERS))
        if depth is None or check_count("config.json", "no_rope_layer_interval", interval) is None:
            raise CheckpointError(f"config.json: model_type {model} without {NO_ROPE_LAYERS} needs {NUM_LAYERS}")
        return [(layer + 1) % interval != 0 for layer in range(depth)]
    if flags is None:
        return None
    if model == "llama":
        raise CheckpointError(
            f"config.json: transformers' Llama does not read {NO_ROPE_LAYERS}; use another model_type"
        )
    _check_depth(config, NO_ROPE_LAYERS, flags)
    if any(flag not in (0, 1) for flag in flags):
        raise CheckpointError(
            f"config.json: {NO_ROPE_LAYERS} must have ones (rotation) and zeros (none), not {flags!r}"
        )
    return [bool(flag) for flag in flags]


def _check_depth(config: Mapping[str, Any], name: str, values: Any) -> None:
    """Raise unless there is one entry for each layer."""
    if not isinstance(values, list | tuple) or not values:
        raise CheckpointError(f"config.json: {name} is {values!r}, not a list with an entry for each layer")
    if config.get(NUM_LAYERS, len(values)) != len(values):
        raise CheckpointError(f"config.json: {name} has {len(values)} entries for {config[NUM_LAYERS]} layers")
