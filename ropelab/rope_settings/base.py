"""Shared parts of all dialects: the `Setting`, errors, validation and formatting of numbers."""

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ropelab.encodings.base import Encoding
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.layers import Layers
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.longrope import LongRoPE
from ropelab.encodings.ntk import NTK, ntk_base
from ropelab.encodings.ntk_by_parts import NTKByParts
from ropelab.encodings.pi import PI
from ropelab.encodings.proportional import ProportionalRoPE
from ropelab.encodings.rope import RoPE
from ropelab.encodings.rotary import Rotary
from ropelab.encodings.yarn import YaRN
from ropelab.errors import CheckpointError
from ropelab.spec import is_default, suggest_name

_COMMON_TYPES = {RoPE, PI, NTK, NTKByParts, DynamicNTK, YaRN, Llama3RoPE, LongRoPE, ProportionalRoPE}
_MAX_COUNT = 2**31 - 1  # positions are int32, which bounds lengths and sizes
_MAX_SPEC_CHARS = 120  # characters of a spec in an error; LongRoPE's lists would fill a screen


class Setting(NamedTuple):
    """An encoding and the context length to run it with; None if it is not specified."""

    encoding: Encoding
    context_length: int | None = None


def unsupported(dialect: str, encoding: Encoding, why: str) -> CheckpointError:
    """Make the error for an encoding that a dialect cannot express; `why` ends with the remedy."""
    text = repr(encoding)
    text = text if len(text) <= _MAX_SPEC_CHARS else f"{text[:_MAX_SPEC_CHARS]}…"
    return CheckpointError(f"{dialect} cannot express {text}: {why}")


def to_common_rotary(
    dialect: str, encoding: Encoding, head_dim: int | None = None, *, needs_base: bool = True
) -> Rotary:
    """Convert an encoding to a form that most dialects can express: rotary, in halves, without NTK's alpha.

    NTK becomes a larger base, and NTK by parts becomes Llama 3's scaling, which names the ends of its ramp differently.

    Args:
        head_dim: needed for NTK.
        needs_base: whether the dialect requires a base.

    Raises:
        CheckpointError: with the remedy, if there is no such form.
    """
    rotary = check_rotary(dialect, encoding)
    if needs_base and rotary.base is None:
        raise unsupported(
            dialect, encoding, "its base is unknown, and the default of the dialect may differ. Set base="
        )
    shared = {"pairing": rotary.pairing, "rotary_dim": rotary.rotary_dim}
    if isinstance(rotary, NTK):
        if rotary.base is None or head_dim is None:
            raise unsupported(
                dialect, encoding, "NTK is a larger base there, which needs base= and head_dim= to compute"
            )
        return RoPE(base=ntk_base(rotary.rotated_dims(head_dim), base=rotary.base, alpha=rotary.alpha), **shared)
    if isinstance(rotary, NTKByParts):
        names = {"factor": "factor", "original_length": "original_length"}
        names |= {"low_freq_factor": "alpha", "high_freq_factor": "beta"}
        return Llama3RoPE(base=rotary.base, **shared, **{new: getattr(rotary, old) for new, old in names.items()})
    return rotary


def check_rotary(dialect: str, encoding: Encoding) -> Rotary:
    """Return the encoding if its class (not a subclass) is known to the dialects and it rotates halves."""
    if not isinstance(encoding, Rotary) or type(encoding) not in _COMMON_TYPES:
        raise unsupported(dialect, encoding, "it supports the usual rotary scalings only. Use ropelab's own spec")
    if encoding.pairing == "interleaved":
        why = "it rotates halves, (i, i + d/2). Reorder the rows of q and k, and omit pairing"
        raise unsupported(dialect, encoding, why)
    return encoding


def check_fields(dialect: str, encoding: Encoding, said: Collection[str]) -> None:
    """Raise if a field is set that the dialect has no key for."""
    for field in dataclasses.fields(encoding):
        if field.name not in said and not is_default(encoding, field):
            value = getattr(encoding, field.name)
            raise unsupported(
                dialect, encoding, f"no key expresses {field.name}={value!r}. Without it, this is another encoding"
            )


def unknown_key(where: str, key: str, known: Collection[str]) -> CheckpointError:
    """Make the error for an unknown key, with the nearest known one."""
    return CheckpointError(f"{where}: unknown {key!r}.{suggest_name(key, known)} Known: {', '.join(sorted(known))}")


def check_number(where: str, name: str, value: Any) -> float:
    """Return a finite number as a float; booleans are not numbers.

    Raises:
        CheckpointError: naming the key.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        raise CheckpointError(f"{where}: {name}={value!r} is not a number")
    try:
        return float(value)
    except OverflowError:
        raise CheckpointError(f"{where}: {name}={str(value)[:20]}… is too large for a float") from None


def check_count(where: str, name: str, value: Any) -> int | None:
    """Return an integer from 1 to `_MAX_COUNT`, or None for None.

    Raises:
        CheckpointError: naming the key.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise CheckpointError(f"{where}: {name}={value!r} is not an integer of at least 1")
    if value is not None and value > _MAX_COUNT:
        raise CheckpointError(f"{where}: {name}={str(value)[:20]}… exceeds {_MAX_COUNT}")
    return value


def check_head_dim(where: str, stated: int | None, head_dim: int) -> None:
    """Raise if the head dimension of a file differs from `head_dim`: bases and divisors depend on it."""
    if stated not in (None, head_dim):
        raise CheckpointError(f"{where}: heads have {stated} dimensions, not {head_dim}; use head_dim={stated}")


def format_number(value: float) -> str:
    """Format a number as the shortest decimal that parses back to it: `10000`, `0.5`, `20221.26`."""
    return str(int(value)) if abs(value) < 1e15 and value == int(value) else repr(value)


def find_shortest(value: float, converts_back: Callable[[float], bool]) -> float:
    """Return the shortest decimal near `value` that converts back exactly; if there is none, `value`.

    Multiplying by a temperature and dividing by it again may differ by one unit in the last place. Among the decimals
    that convert to the right number, the shortest is most likely the original one.

    Args:
        converts_back: whether a decimal yields the number that `value` was computed from.
    """
    candidates = (float(f"{value:.{n}g}") for n in range(1, 18))
    return next((short for short in candidates if converts_back(short)), value)


def format_assignments(values: Mapping[str, Any]) -> str:
    """Format as `key=value key=value`, with shortest decimals."""
    return " ".join(f"{key}={format_number(v) if type(v) in (int, float) else v}" for key, v in values.items())


def make_schedule(layers: Sequence[Encoding]) -> Encoding:
    """Combine the encodings of all layers: the encoding if all are equal, else `Layers` of the shortest period."""
    for period in range(1, len(layers) + 1):
        if all(layers[i] == layers[i % period] for i in range(len(layers))):
            return layers[0] if period == 1 else Layers(tuple(layers[:period]))
    raise CheckpointError("config.json: the model has no layers")
