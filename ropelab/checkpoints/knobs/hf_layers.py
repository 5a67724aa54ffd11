"""Which layer of a transformers model has which encoding.

Two ways to say it: `layer_types` names a type for each layer, and `rope_parameters` holds settings for each type (null:
no rotation); or one setting for all and `no_rope_layers`, in which a 1 means that the layer *has* rotation (Llama-4,
SmolLM3), whatever its name suggests.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.knobs.setting import whole
from ropelab.encodings.base import Encoding
from ropelab.encodings.layers import Layers
from ropelab.encodings.nope import NoPE
from ropelab.spec import suggest_name

TYPES, ROTATED, DEPTH = "layer_types", "no_rope_layers", "num_hidden_layers"
INTERVALS = {"smollm3": 4}  # every fourth layer of SmolLM3 is without rotation unless its file says otherwise


def schedule(layers: Sequence[Encoding]) -> Encoding:
    """One encoding for each layer, as the shortest list that is repeated: the encoding itself if all have the same."""
    for period in range(1, len(layers) + 1):
        if all(layers[i] == layers[i % period] for i in range(len(layers))):
            return layers[0] if period == 1 else Layers(tuple(layers[:period]))
    raise CheckpointError("config.json: a model without layers")


def by_type(config: Mapping[str, Any], rope: Mapping[str, Any], one: Callable[[Any], Encoding]) -> list[Encoding]:
    """The encoding of each layer from settings per layer type; `one` makes the encoding of one of them."""
    kinds = config.get(TYPES)
    if config.get("model_type") == "llama" or not kinds:
        raise CheckpointError(
            f"config.json sets rope per layer type ({', '.join(rope)}); one for all layers is read of a Llama, and of "
            f"another model only with its {TYPES}"
        )
    check_depth(config, TYPES, kinds)
    if not all(isinstance(name, str) for name in kinds):
        raise CheckpointError(f"config.json: {TYPES} holds {kinds!r}, not names")
    for name in [*rope, *kinds]:
        if name not in rope:
            raise CheckpointError(
                f"config.json: {TYPES} has {name!r}, and rope_parameters does not.{suggest_name(name, rope)}"
            )
        if name not in kinds:
            raise CheckpointError(
                f"config.json: rope_parameters has {name!r}, no layer type.{suggest_name(name, set(kinds))}"
            )
    encodings = {name: NoPE() if value is None else one(value) for name, value in rope.items()}
    return [encodings[name] for name in kinds]


def rotated(config: Mapping[str, Any]) -> list[bool] | None:
    """Which layers have rotation, None where the file has no say on it."""
    model, flags = config.get("model_type"), config.get(ROTATED)
    if flags is None and model in INTERVALS:
        interval = config.get("no_rope_layer_interval", INTERVALS[model])
        depth = whole("config.json", DEPTH, config.get(DEPTH))
        if depth is None or whole("config.json", "no_rope_layer_interval", interval) is None:
            raise CheckpointError(f"config.json: a {model} without {ROTATED} needs {DEPTH}")
        return [(layer + 1) % interval != 0 for layer in range(depth)]
    if flags is None:
        return None
    if model == "llama":
        raise CheckpointError(f"config.json: transformers' Llama does not read {ROTATED}; name another model_type")
    check_depth(config, ROTATED, flags)
    if any(flag not in (0, 1) for flag in flags):
        raise CheckpointError(f"config.json: {ROTATED} holds ones (rotation) and zeros (none), not {flags!r}")
    return [bool(flag) for flag in flags]


def check_depth(config: Mapping[str, Any], name: str, values: Any) -> None:
    """One entry for each layer."""
    if not isinstance(values, list | tuple) or not values:
        raise CheckpointError(f"config.json: {name} holds {values!r}, not an entry for each layer")
    if config.get(DEPTH, len(values)) != len(values):
        raise CheckpointError(f"config.json: {name} has {len(values)} entries for {config[DEPTH]} layers")
