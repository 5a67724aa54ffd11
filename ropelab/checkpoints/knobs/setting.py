"""What every dialect shares: the pair that is translated, refusals, numbers, and encodings that are other ones too."""

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from ropelab.checkpoints.errors import CheckpointError
from ropelab.encodings.base import Encoding
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.longrope import LongRoPE
from ropelab.encodings.ntk import NTK, ntk_base
from ropelab.encodings.ntk_by_parts import NTKByParts
from ropelab.encodings.pi import PI
from ropelab.encodings.proportional import ProportionalRoPE
from ropelab.encodings.rope import RoPE
from ropelab.encodings.rotary import Rotary
from ropelab.encodings.yarn import YaRN
from ropelab.spec import is_default, suggest_name

WORDED = {RoPE, PI, NTK, NTKByParts, DynamicNTK, YaRN, Llama3RoPE, LongRoPE, ProportionalRoPE}
LARGEST = 2**31 - 1  # of positions, and so of lengths and sizes
LONGEST = 120  # characters of a spec that an error repeats; LongRoPE's lists would fill a screen


class Setting(NamedTuple):
    """An encoding, and the tokens of context it is to be run with, None where nothing is said."""

    encoding: Encoding
    context_length: int | None = None


def cannot_say(dialect: str, encoding: Encoding, why: str) -> CheckpointError:
    """The refusal of an encoding that a dialect has no words for; `why` ends with what to do instead."""
    text = repr(encoding)
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return CheckpointError(f"{dialect} cannot say {text}: {why}")


def rotary_of(dialect: str, encoding: Encoding, head_dim: int | None = None, *, needs_base: bool = True) -> Rotary:
    """The encoding in the words that most dialects have: rotary, turning halves, without NTK's alpha.

    NTK is a larger base to them, and NTK by parts is Llama 3's scaling with its own names for the ends of the ramp.

    Raises:
        CheckpointError: with the remedy, if it has no such words.
    """
    rotary = check_rotary(dialect, encoding)
    if needs_base and rotary.base is None:
        raise cannot_say(dialect, encoding, "the base is not known, and it would take its own. Give base=")
    shared = {"pairing": rotary.pairing, "rotary_dim": rotary.rotary_dim}
    if isinstance(rotary, NTK):
        if rotary.base is None or head_dim is None:
            raise cannot_say(
                dialect, encoding, "to it NTK is a larger base, which takes base= and head_dim= to compute"
            )
        return RoPE(base=ntk_base(rotary.rotated_dims(head_dim), base=rotary.base, alpha=rotary.alpha), **shared)
    if isinstance(rotary, NTKByParts):
        names = {"factor": "factor", "original_length": "original_length"}
        names |= {"low_freq_factor": "alpha", "high_freq_factor": "beta"}
        return Llama3RoPE(base=rotary.base, **shared, **{new: getattr(rotary, old) for new, old in names.items()})
    return rotary


def check_rotary(dialect: str, encoding: Encoding) -> Rotary:
    """The encoding, if it is of a kind that any dialect knows, and not of a class derived from it; turning halves."""
    if not isinstance(encoding, Rotary) or type(encoding) not in WORDED:
        raise cannot_say(dialect, encoding, "it has words for the usual rotary scalings only. Use ropelab's own spec")
    if encoding.pairing == "interleaved":
        why = "it turns halves, (i, i + d/2). Reorder the rows of q and k, and leave pairing out"
        raise cannot_say(dialect, encoding, why)
    return encoding


def check_rest(dialect: str, encoding: Encoding, said: Collection[str]) -> None:
    """Refuse a field that is set and that the dialect has no key for."""
    for field in dataclasses.fields(encoding):
        if field.name not in said and not is_default(encoding, field):
            value = getattr(encoding, field.name)
            raise cannot_say(
                dialect, encoding, f"no key says {field.name}={value!r}, and without it this is another encoding"
            )


def unknown_key(where: str, key: str, known: Collection[str]) -> CheckpointError:
    return CheckpointError(f"{where}: unknown {key!r}.{suggest_name(key, known)} Known: {', '.join(sorted(known))}")


def real(where: str, name: str, value: Any) -> float:
    """A number that is not a truth value, as a float.

    Raises:
        CheckpointError: naming the key.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        raise CheckpointError(f"{where}: {name}={value!r} is not a number")
    try:
        return float(value)
    except OverflowError:
        raise CheckpointError(f"{where}: {name}={str(value)[:20]}… is too large for a number") from None


def whole(where: str, name: str, value: Any) -> int | None:
    """A whole number from 1 to `LARGEST`, None where there is none.

    Raises:
        CheckpointError: naming the key.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise CheckpointError(f"{where}: {name}={value!r} is not a whole number of at least 1")
    if value is not None and value > LARGEST:
        raise CheckpointError(f"{where}: {name}={str(value)[:20]}… is beyond {LARGEST}")
    return value


def check_head(where: str, stated: int | None, head_dim: int) -> None:
    """Refuse another head than the one that is computed with: bases and divisors depend on it."""
    if stated not in (None, head_dim):
        raise CheckpointError(f"{where}: heads have {stated} dimensions, not {head_dim}; give head_dim={stated}")


def digits(value: float) -> str:
    """The shortest decimal that names a number: `10000`, `0.5`, `20221.26`."""
    return str(int(value)) if abs(value) < 1e15 and value == int(value) else repr(value)


def shortest(value: float, leads_back: Callable[[float], bool]) -> float:
    """The shortest decimal near `value` that leads back to the number it was computed from; else `value`.

    Multiplying by a temperature and dividing by it again may end one unit in the last place away. Among the decimals
    that the other side would turn into the right number, the shortest is what somebody wrote.
    """
    tries = (float(f"{value:.{n}g}") for n in range(1, 18))
    return next((short for short in tries if leads_back(short)), value)


def assignments(values: Mapping[str, Any]) -> str:
    """`key=value key=value`, numbers at their shortest."""
    return " ".join(f"{key}={digits(v) if type(v) in (int, float) else v}" for key, v in values.items())
