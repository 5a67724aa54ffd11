"""Everybody's names for the same settings ⇄ an `Encoding`.

Read strictly: a key that nobody would read, or a type that is not known here, is an error that names it. The
field's commonest fault is a rope setting that was accepted and never applied.
"""

from collections.abc import Mapping
from typing import Any

from ropelab.checkpoints.errors import CheckpointError
from ropelab.encodings.base import Encoding
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.pi import PI
from ropelab.encodings.rope import RoPE
from ropelab.encodings.specs import nearest
from ropelab.encodings.yarn import YaRN

HF_DEFAULT_BASE = 10000.0  # LlamaConfig's own; Llama 1 and 2 configurations do not state it
L0 = "original_max_position_embeddings"

KEYS: dict[str, tuple[set[str], set[str]]] = {  # rope type: required keys, optional keys
    "default": (set(), set()),
    "linear": ({"factor"}, set()),
    "dynamic": ({"factor"}, {L0}),
    "yarn": (
        {"factor", L0},
        {"attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate", "finetuned"},
    ),
    "llama3": ({"factor", L0, "low_freq_factor", "high_freq_factor"}, set()),
}


def from_hf(config: Mapping[str, Any]) -> Encoding:
    """The encoding of a Hugging Face `config.json`.

    Reads `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (transformers 4).

    Raises:
        CheckpointError: for an unknown type or key, a missing one, or two that contradict each other.
    """
    rope = merged_settings(config)
    kind = rope.pop("rope_type")
    base = rope.pop("rope_theta")
    check_keys(kind, rope)
    try:
        return build(kind, base, rope, config)
    except ValueError as error:
        raise CheckpointError(f"config.json, rope type {kind!r}: {error}") from None


def merged_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """One flat dict with `rope_type` and `rope_theta`, whichever transformers wrote the file."""
    new, old = (rope_object(config, name) for name in ("rope_parameters", "rope_scaling"))
    if new and old and new != old:
        raise CheckpointError("config.json has both rope_parameters and rope_scaling, and they differ; keep one")
    rope = new or old
    nested = [k for k, v in rope.items() if isinstance(v, Mapping)]
    if nested:
        raise CheckpointError(f"config.json sets rope per layer type ({', '.join(nested)}); one for all layers is read")
    kinds = [rope.pop(k) for k in ("rope_type", "type") if k in rope]
    thetas = [t for t in (rope.pop("rope_theta", None), config.get("rope_theta")) if t is not None]
    for name, values in (("rope types", kinds), ("values of rope_theta", thetas)):
        if any(value != values[0] for value in values):
            raise CheckpointError(f"config.json has two {name}, {' and '.join(map(repr, values))}; keep one")
    if any(f not in (None, 1) for f in (rope.pop("partial_rotary_factor", None), config.get("partial_rotary_factor"))):
        raise CheckpointError("config.json: partial_rotary_factor is not 1; transformers' Llama does not apply it")
    kind = kinds[0] if kinds else "default"
    if not isinstance(kind, str):
        raise CheckpointError(f"config.json: the rope type is {kind!r}, not a name")
    if L0 in config and L0 in KEYS.get(kind, (set(),))[0]:
        rope.setdefault(L0, config[L0])
    return rope | {"rope_type": kind, "rope_theta": thetas[0] if thetas else HF_DEFAULT_BASE}


def rope_object(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One of the two places for rope settings, `{}` where the file has none."""
    value = config.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise CheckpointError(f"config.json: {name} holds a {type(value).__name__}, not a JSON object")
    return dict(value or {})


def check_keys(kind: str, rope: Mapping[str, Any]) -> None:
    if kind not in KEYS:
        hint = nearest(str(kind), KEYS)
        raise CheckpointError(f"config.json: unknown rope type {kind!r}.{hint} Known: {', '.join(KEYS)}")
    required, optional = KEYS[kind]
    for key in sorted(set(rope) - required - optional):
        known = sorted(required | optional)
        hint = nearest(key, known)
        raise CheckpointError(f"config.json: rope type {kind!r} has no key {key!r}.{hint} It has: {', '.join(known)}")
    missing = sorted(k for k in required if rope.get(k) is None)
    if missing:
        raise CheckpointError(f"config.json: rope type {kind!r} needs {', '.join(missing)}")


def build(kind: str, base: float, rope: Mapping[str, Any], config: Mapping[str, Any]) -> Encoding:
    """The encoding of checked settings."""
    if kind == "default":
        return RoPE(base=base)
    if kind == "linear":
        return PI(base=base, factor=rope["factor"])
    if kind == "dynamic":
        # transformers 5.23 measures growth from max_position_embeddings, whatever else is given
        if "max_position_embeddings" not in config:
            raise CheckpointError("config.json: rope type 'dynamic' needs max_position_embeddings")
        return DynamicNTK(base=base, factor=rope["factor"], original_length=config["max_position_embeddings"])
    if kind == "llama3":
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        return Llama3RoPE(
            base=base, factor=rope["factor"], original_length=rope[L0], low_freq_factor=low, high_freq_factor=high
        )
    given = {k: rope[k] for k in KEYS["yarn"][1] - {"finetuned"} if rope.get(k) is not None}
    return YaRN(base=base, factor=rope["factor"], original_length=rope[L0], **given)
