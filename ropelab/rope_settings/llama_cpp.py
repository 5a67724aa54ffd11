"""Command line options of llama.cpp, which override the metadata of a GGUF.

    --rope-scaling none|linear|yarn   --rope-scale s, or --rope-freq-scale 1/s   --rope-freq-base   -c, --ctx-size
    --yarn-orig-ctx   --yarn-ext-factor   --yarn-attn-factor   --yarn-beta-fast   --yarn-beta-slow

Options that are left out come from the file and are None here: without --rope-freq-base the encoding has no base. The
type only selects defaults: an ext factor of 1 is YaRN and of 0 is linear, for any type (measured, b9190: equal logits).

Source: ggml-org/llama.cpp b9190, common/arg.cpp and src/llama-context.cpp.
"""

import dataclasses
import math
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from ropelab.encodings.base import Encoding
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.errors import CheckpointError
from ropelab.rope_settings.base import (
    Setting,
    check_count,
    find_shortest,
    format_number,
    to_common_rotary,
    unknown_key,
    unsupported,
)
from ropelab.rope_settings.gguf import ORIGINAL_LENGTH, read_keys, write_keys

_WHERE = "llama.cpp options"


class _Flag(NamedTuple):
    """The metadata key that an option overrides, its type, and the value that means 'not set'."""

    key: str
    kind: type
    silent: float | None = None


_FLAGS = {
    "--rope-scaling": _Flag("scaling.type", str),
    "--rope-scale": _Flag("scaling.factor", float),
    "--rope-freq-scale": _Flag("inverse factor", float, 0.0),
    "--rope-freq-base": _Flag("freq_base", float, 0.0),
    "--yarn-orig-ctx": _Flag(ORIGINAL_LENGTH, int, 0),
    "--yarn-ext-factor": _Flag("ext", float, -1.0),
    "--yarn-attn-factor": _Flag("scaling.attn_factor", float, -1.0),
    "--yarn-beta-fast": _Flag("scaling.yarn_beta_fast", float, -1.0),
    "--yarn-beta-slow": _Flag("scaling.yarn_beta_slow", float, -1.0),
    "-c": _Flag("context", int, 0),
}
_ALIASES = {"--ctx-size": "-c"}


def from_llama_cpp(text: str, *, head_dim: int) -> Encoding:
    """Return the encoding that llama.cpp's options select for a model whose file states only its base.

    `--yarn-attn-factor` multiplies YaRN's temperature, as documented; since pull request 17945 llama.cpp overwrites it
    whenever YaRN is on (b9190: the logits are bit-identical).

    Raises:
        CheckpointError: for an unknown option, one without effect, or incomplete options of YaRN.
    """
    return read(text, head_dim=head_dim).encoding


def read(text: str, *, head_dim: int) -> Setting:
    """Read the encoding and the context length (`-c`)."""
    given = _parse_options(text)
    length = check_count(_WHERE, "-c", given.pop("context", None))
    keys = _to_metadata(given)
    encoding = read_keys(_WHERE, keys, head_dim)
    return Setting(encoding if "freq_base" in keys else dataclasses.replace(encoding, base=None), length)


def _parse_options(text: str) -> dict[str, Any]:
    """Parse the options to values by metadata key, without those that mean 'not set'."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise CheckpointError(f"{_WHERE}: {error} in {text!r}") from None
    given: dict[str, Any] = {}
    while words:
        word = words.pop(0)
        name = word.replace("_", "-") if word.startswith("--") else word  # as llama.cpp does
        name = _ALIASES.get(name, name)
        if name not in _FLAGS:
            raise unknown_key(_WHERE, word, [*_FLAGS, *_ALIASES])
        flag = _FLAGS[name]
        try:
            value = flag.kind(words.pop(0))
        except (IndexError, ValueError):
            raise CheckpointError(f"{_WHERE}: {word} needs {'a name' if flag.kind is str else 'a number'}") from None
        if flag.key in given and given[flag.key] != value:
            raise CheckpointError(f"{_WHERE}: {word} is given twice, {given[flag.key]} and {value}; keep one")
        given[flag.key] = value
    silent = {flag.key: flag.silent for flag in _FLAGS.values() if flag.silent is not None}
    return {key: value for key, value in given.items() if key not in silent or value != silent[key]}


def _to_metadata(given: Mapping[str, Any]) -> dict[str, Any]:
    """Convert option values to GGUF metadata."""
    keys = dict(given)
    inverse, kind, ext = keys.pop("inverse factor", None), keys.get("scaling.type"), keys.pop("ext", None)
    if inverse is not None:
        if not 0 < inverse < math.inf:
            raise CheckpointError(f"{_WHERE}: --rope-freq-scale {inverse} must be positive")
        factor = find_shortest(1 / inverse, lambda s: 1 / s == inverse)
        if keys.setdefault("scaling.factor", factor) != factor:
            raise CheckpointError(f"{_WHERE}: --rope-scale and --rope-freq-scale are inverse to each other; use one")
    if kind == "none":
        if keys.get("scaling.factor", 1.0) != 1.0:
            raise CheckpointError(f"{_WHERE}: --rope-scaling none ignores --rope-scale; remove one of them")
        return keys
    if kind not in (None, "linear", "yarn"):
        raise unknown_key(f"{_WHERE}: --rope-scaling", str(kind), ["none", "linear", "yarn"])
    ext = float(kind == "yarn") if ext is None else ext
    if ext not in (0.0, 1.0):
        raise CheckpointError(
            f"{_WHERE}: --yarn-ext-factor {ext} mixes YaRN with interpolation, which is not supported; use 0 or 1"
        )
    keys["scaling.type"] = "yarn" if ext else "linear"
    idle = [name for name, flag in _FLAGS.items() if name.startswith("--yarn") and flag.key in keys]
    if not ext and kind == "yarn":
        return {
            k: v
            for k, v in keys.items()
            if k not in (ORIGINAL_LENGTH, "scaling.yarn_beta_fast", "scaling.yarn_beta_slow")
        }
    if not ext and set(idle) - {"--yarn-attn-factor"}:
        raise CheckpointError(f"{_WHERE}: {', '.join(idle)} without --rope-scaling yarn has no effect; remove it")
    if ext and not {"scaling.factor", ORIGINAL_LENGTH} <= set(keys):
        raise CheckpointError(
            f"{_WHERE}: yarn needs --rope-scale and --yarn-orig-ctx; the values of the file are unknown"
        )
    return keys


def to_llama_cpp(encoding: Encoding, *, head_dim: int, context_length: int | None = None) -> str:
    """Return the options that select an encoding, independently of the scaling in the file.

    Raises:
        CheckpointError: if the options cannot express the encoding.
    """
    rotary = to_common_rotary("llama.cpp's options", encoding, head_dim, needs_base=False)
    if isinstance(rotary, Llama3RoPE):
        why = "its divisors are a tensor of the file, rope_freqs.weight. Convert the model with the tensor from to_gguf"
        raise unsupported("llama.cpp's options", encoding, why)
    keys = write_keys("llama.cpp's options", rotary, head_dim)
    if "dimension_count" in keys:
        why = "the file sets the rotated part of a head: llama.rope.dimension_count. Omit rotary_dim"
        raise unsupported("llama.cpp's options", encoding, why)
    if context_length is not None:
        keys["context"] = context_length
    words = {name: keys[flag.key] for name, flag in _FLAGS.items() if flag.key in keys}
    return " ".join(
        f"{name} {value if isinstance(value, str) else format_number(value)}" for name, value in words.items()
    )
