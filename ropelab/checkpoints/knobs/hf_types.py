"""Rope types of transformers 5.23: for each the encoding it is, and the key of each of the encoding's fields.

One table, read in both directions. `idle` keys are written by some tools and change nothing.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.knobs.setting import cannot_say, check_rest, real, whole
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.longrope import LongRoPE, longrope_attention_factor
from ropelab.encodings.pi import PI
from ropelab.encodings.proportional import ProportionalRoPE
from ropelab.encodings.rope import RoPE
from ropelab.encodings.rotary import Rotary
from ropelab.encodings.yarn import YaRN
from ropelab.spec import suggest_name

L0, LENGTH = "original_max_position_embeddings", "max_position_embeddings"
PARTIAL = "partial_rotary_factor"


class Kind(NamedTuple):
    """One rope type: keys and the fields they are."""

    encoding: type[Rotary]
    required: Mapping[str, str]
    optional: Mapping[str, str]
    idle: frozenset[str] = frozenset()

    @property
    def fields(self) -> dict[str, str]:
        return {**self.required, **self.optional}


def same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


KINDS = {
    "default": Kind(RoPE, {}, {}),
    "linear": Kind(PI, same("factor"), {}),
    # growth is measured from max_position_embeddings, whatever else is given
    "dynamic": Kind(DynamicNTK, same("factor"), {}, frozenset({L0})),
    "yarn": Kind(
        YaRN,
        {"factor": "factor", L0: "original_length"},
        same("attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"),
        frozenset({"finetuned"}),
    ),
    "llama3": Kind(Llama3RoPE, same("factor", "low_freq_factor", "high_freq_factor") | {L0: "original_length"}, {}),
    "longrope": Kind(
        LongRoPE, same("short_factor", "long_factor") | {L0: "original_length"}, same("factor", "attention_factor")
    ),
    "proportional": Kind(ProportionalRoPE, {PARTIAL: "fraction"}, {}),
}
NAMES = {kind.encoding: name for name, kind in KINDS.items()}


def check_keys(name: str, rope: Mapping[str, Any]) -> Kind:
    """The rope type of this name, if the keys are its keys."""
    if name not in KINDS:
        raise CheckpointError(
            f"config.json: unknown rope type {name!r}.{suggest_name(name, KINDS)} Known: {', '.join(KINDS)}"
        )
    kind = KINDS[name]
    known = sorted({*kind.fields, *kind.idle})
    for key in sorted(set(rope) - set(known)):
        hint = suggest_name(key, known)
        raise CheckpointError(f"config.json: rope type {name!r} has no key {key!r}.{hint} It has: {', '.join(known)}")
    missing = sorted(k for k in kind.required if rope.get(k) is None)
    if missing:
        raise CheckpointError(f"config.json: rope type {name!r} needs {', '.join(missing)}")
    return kind


def build(name: str, rope: Mapping[str, Any], config: Mapping[str, Any], **shared: Any) -> Rotary:
    """The encoding of the settings of one rope type; `shared` are the fields that every rotary encoding has."""
    kind = check_keys(name, rope)
    if rope.get(L0) is not None and name != "dynamic":  # idle there
        whole("config.json", L0, rope[L0])
    fields = {field: rope[key] for key, field in kind.fields.items() if rope.get(key) is not None}
    if name == "dynamic":
        fields["original_length"] = length_of(config, name)
    try:
        if name == "longrope":
            fields |= longrope_defaults(fields, config)
        return kind.encoding(**shared, **fields)
    except CheckpointError:
        raise
    except (ValueError, OverflowError) as error:  # JSON has integers that no float holds
        raise CheckpointError(f"config.json, rope type {name!r}: {error}") from None


def longrope_defaults(fields: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The factor, where the lengths say it; and an attention factor that is the usual one is not stated."""
    original = fields["original_length"]
    factor = fields.get("factor", None)
    factor = length_of(config, "longrope") / original if factor is None else real("config.json", "factor", factor)
    stated = fields.get("attention_factor")
    usual = original > 1 and stated == longrope_attention_factor(factor, original)
    return {"factor": factor, "attention_factor": None if usual else stated}


def length_of(config: Mapping[str, Any], name: str) -> int:
    """`max_position_embeddings`, for the types that are incomplete without it."""
    length = whole("config.json", LENGTH, config.get(LENGTH))
    if length is None:
        raise CheckpointError(f"config.json: rope type {name!r} needs {LENGTH}")
    return length


def keys_of(encoding: Rotary) -> tuple[str, dict[str, Any]]:
    """`(rope type, its keys)`: the inverse of `build`, defaults left out.

    Raises:
        CheckpointError: for an encoding or a field that transformers has no key for.
    """
    name = NAMES.get(type(encoding))
    if name is None:
        why = f"its rope types are {', '.join(KINDS)}. Run it from ropelab's own spec"
        raise cannot_say("transformers", encoding, why)
    kind = KINDS[name]
    beside = {"base", "pairing", "rotary_dim", *(("original_length",) if name == "dynamic" else ())}
    check_rest("transformers", encoding, {*kind.fields.values(), *beside})
    standard = {f: d.default for f, d in type(encoding).__dataclass_fields__.items()}
    values = {key: getattr(encoding, field) for key, field in kind.fields.items()}
    given = {k: v for k, v in values.items() if k in kind.required or v != standard[kind.fields[k]]}
    return name, {k: list(v) if isinstance(v, tuple) else v for k, v in given.items()}
