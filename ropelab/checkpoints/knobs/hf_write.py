"""An encoding → the keys of transformers' `config.json`; the inverse of `hf_read`.

transformers 5 reads `rope_parameters`. transformers 4 reads `rope_theta` and `rope_scaling` and ignores
`rope_parameters` without a word, so that a file with that alone has base 10000 and no scaling there. Both are written,
and 5 takes `rope_scaling` where it finds both.

Source: transformers 5.24 and 4.56.2, modeling_rope_utils.py and the configuration classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ropelab.checkpoints.knobs import hf_layers, hf_types
from ropelab.checkpoints.knobs.hf_read import SLICED
from ropelab.checkpoints.knobs.hf_types import L0, LENGTH, PARTIAL
from ropelab.checkpoints.knobs.setting import cannot_say, rotary_of
from ropelab.encodings.base import Encoding
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.layers import Layers
from ropelab.encodings.longrope import LongRoPE
from ropelab.encodings.nope import NoPE
from ropelab.encodings.rotary import Rotary

OLD_NAMES = {"gpt_neox": ("rotary_emb_base", "rotary_pct")}  # of rope_theta and PARTIAL, in transformers 4


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
    """The keys of `config.json` that mean an encoding.

    Args:
        head_dim: needed for NTK, whose base depends on it, and for a part of each head.
        model_type: written along; who turns a part of each head, or has layers without rotation, is no Llama.
        layer_types: the type of each layer, to say a schedule by types. They choose the attention pattern too.
        layers: the depth of the model; one period of a schedule if nothing is said.
        version: 5 for `rope_parameters` alone, 4 for `rope_theta` and `rope_scaling` alone; both if nothing is said.

    Raises:
        CheckpointError: for what transformers cannot say.
    """
    if version not in (4, 5, None):
        raise ValueError(f"version={version} of transformers; 4, 5 and both (None) are written")
    about: dict[str, Any] = {} if model_type is None else {"model_type": model_type}
    about |= {} if context_length is None else {LENGTH: context_length}
    each = encoding.schedule if isinstance(encoding, Layers) else (encoding,)
    if layer_types is not None:
        return about | typed(encoding, each, layer_types, head_dim, version)
    turning = {e for e in each if not isinstance(e, NoPE)}
    if len(turning) > 1:
        why = "its layers turn differently, which is said by layer type. Give layer_types=, one for each layer"
        raise cannot_say("transformers", encoding, why)
    for same in turning:
        about |= flat(same, head_dim, model_type, version, about)
    if any(isinstance(e, NoPE) for e in each):
        if model_type == "llama":
            raise cannot_say(
                "transformers' Llama", encoding, f"it does not read {hf_layers.ROTATED}. Name a model_type"
            )
        depth = layers or len(each)
        about[hf_layers.ROTATED] = [int(not isinstance(each[i % len(each)], NoPE)) for i in range(depth)]
        about[hf_layers.DEPTH] = depth
    return about


def flat(
    encoding: Encoding, head_dim: int | None, model_type: str | None, version: int | None, about: Mapping[str, Any]
) -> dict[str, Any]:
    """One setting for all layers that turn."""
    rotary, kind, keys = parameters(encoding, head_dim)
    beside: dict[str, Any] = {}
    if isinstance(rotary, DynamicNTK):
        if about.get(LENGTH, rotary.original_length) != rotary.original_length:
            why = f"{LENGTH} is the trained length to it, and the context has no key. Leave context_length out"
            raise cannot_say("transformers", encoding, why)
        beside[LENGTH] = rotary.original_length
    if rotary.rotary_dim is not None and rotary.rotary_dim != head_dim:
        if (
            model_type not in SLICED
            or head_dim is None
            or int(head_dim * (rotary.rotary_dim / head_dim)) != rotary.rotary_dim
        ):
            why = f"a part of each head is turned by model_type {', '.join(sorted(SLICED))}. Give one, and head_dim="
            raise cannot_say(f"transformers' {model_type or 'llama'}", encoding, why)
        keys[PARTIAL], beside["head_dim"] = rotary.rotary_dim / head_dim, head_dim
    found: dict[str, Any] = {}
    if version != 5:
        found |= for_version_4(rotary, kind, keys, model_type)
    if version != 4:
        found["rope_parameters"] = {"rope_type": kind, "rope_theta": rotary.base} | keys
    return beside | found


def for_version_4(rotary: Rotary, kind: str, keys: dict[str, Any], model_type: str | None) -> dict[str, Any]:
    """What transformers 4 reads of a setting."""
    base, part = OLD_NAMES.get(model_type or "llama", ("rope_theta", PARTIAL))
    found: dict[str, Any] = {base: rotary.base}
    scaling = {key: value for key, value in keys.items() if key != PARTIAL}
    if kind == "proportional":
        scaling = keys
    elif PARTIAL in keys:
        found[part] = keys[PARTIAL]
    if isinstance(rotary, LongRoPE):  # its factor is max_position_embeddings over this, whatever `factor` says
        found[L0] = rotary.original_length
        keys["attention_factor"] = scaling["attention_factor"] = rotary.amplitude
    return found | {"rope_scaling": {"rope_type": kind} | scaling if scaling else None}


def typed(
    encoding: Encoding, each: Sequence[Encoding], names: Sequence[str], head_dim: int | None, version: int | None
) -> dict[str, Any]:
    """A setting for each layer type."""
    if version == 4:
        raise cannot_say("transformers 4", encoding, "settings per layer type came with version 5. Write that")
    found: dict[str, Any] = {}
    for i, name in enumerate(names):
        if found.setdefault(name, each[i % len(each)]) != each[i % len(each)]:
            raise cannot_say("transformers", encoding, f"layers of type {name!r} differ. Give them types of their own")
    settings: dict[str, Any] = dict.fromkeys(found)
    for name, kind in found.items():
        if not isinstance(kind, NoPE):
            rotary, rope_type, keys = parameters(kind, head_dim)
            if rotary.rotary_dim is not None or keys.get("truncate") is False or isinstance(rotary, DynamicNTK):
                why = "a part of each head, truncate=False and dynamic scaling are said for all layers only"
                raise cannot_say("transformers", kind, f"{why}. Leave layer_types out")
            settings[name] = {"rope_type": rope_type, "rope_theta": rotary.base} | keys
    return {hf_layers.TYPES: list(names), hf_layers.DEPTH: len(names), "rope_parameters": settings}


def parameters(encoding: Encoding, head_dim: int | None) -> tuple[Rotary, str, dict[str, Any]]:
    """`(encoding, rope type, keys)` with the words that transformers has."""
    rotary = rotary_of("transformers", encoding, head_dim)
    return rotary, *hf_types.keys_of(rotary)
