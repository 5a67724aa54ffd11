"""Options of llama.cpp ⇄ an encoding: the metadata of a GGUF under other names, where a file is overruled.

    --rope-scaling none|linear|yarn   --rope-scale s, or --rope-freq-scale 1/s   --rope-freq-base   -c, --ctx-size
    --yarn-orig-ctx   --yarn-ext-factor   --yarn-attn-factor   --yarn-beta-fast   --yarn-beta-slow

What is not given is the file's, and stays unsaid here: without --rope-freq-base the encoding has no base. The type only
chooses defaults: an ext factor of 1 is YaRN and one of 0 is linear, whatever the type (measured, b9190: equal logits).

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
    """The metadata key that an option overrules, its kind, and the value by which it says nothing."""

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
    """The encoding that options of llama.cpp select for a model whose file says nothing but its base.

    `--yarn-attn-factor` multiplies YaRN's temperature, as documented; from pull request 17945 on llama.cpp overwrites
    it whenever YaRN is on (b9190: not a bit of the logits changes).

    Raises:
        CheckpointError: for an unknown option, one without effect, and for half of YaRN.
    """
    return read(text, head_dim=head_dim).encoding


def read(text: str, *, head_dim: int) -> Setting:
    """The encoding and the context length of `-c`."""
    given = _parse_options(text)
    length = check_count(_WHERE, "-c", given.pop("context", None))
    keys = _to_metadata(given)
    encoding = read_keys(_WHERE, keys, head_dim)
    return Setting(encoding if "freq_base" in keys else dataclasses.replace(encoding, base=None), length)


def _parse_options(text: str) -> dict[str, Any]:
    """Values by metadata key, those that say nothing left out."""
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
            raise CheckpointError(f"{_WHERE}: {word} takes {'a word' if flag.kind is str else 'a number'}") from None
        if flag.key in given and given[flag.key] != value:
            raise CheckpointError(f"{_WHERE}: {word} is given twice, {given[flag.key]} and {value}; keep one")
        given[flag.key] = value
    silent = {flag.key: flag.silent for flag in _FLAGS.values() if flag.silent is not None}
    return {key: value for key, value in given.items() if key not in silent or value != silent[key]}


def _to_metadata(given: Mapping[str, Any]) -> dict[str, Any]:
    """The GGUF metadata that options amount to."""
    keys = dict(given)
    inverse, kind, ext = keys.pop("inverse factor", None), keys.get("scaling.type"), keys.pop("ext", None)
    if inverse is not None:
        if not 0 < inverse < math.inf:
            raise CheckpointError(f"{_WHERE}: --rope-freq-scale {inverse} must be positive")
        factor = find_shortest(1 / inverse, lambda s: 1 / s == inverse)
        if keys.setdefault("scaling.factor", factor) != factor:
            raise CheckpointError(f"{_WHERE}: --rope-scale and --rope-freq-scale are inverse to each other; give one")
    if kind == "none":
        if keys.get("scaling.factor", 1.0) != 1.0:
            raise CheckpointError(f"{_WHERE}: --rope-scaling none ignores --rope-scale; leave one of them out")
        return keys
    if kind not in (None, "linear", "yarn"):
        raise unknown_key(f"{_WHERE}: --rope-scaling", str(kind), ["none", "linear", "yarn"])
    ext = float(kind == "yarn") if ext is None else ext
    if ext not in (0.0, 1.0):
        raise CheckpointError(f"{_WHERE}: --yarn-ext-factor {ext} mixes YaRN with interpolation; 1 and 0 are read")
    keys["scaling.type"] = "yarn" if ext else "linear"
    idle = [name for name, flag in _FLAGS.items() if name.startswith("--yarn") and flag.key in keys]
    if not ext and kind == "yarn":
        return {
            k: v
            for k, v in keys.items()
            if k not in (ORIGINAL_LENGTH, "scaling.yarn_beta_fast", "scaling.yarn_beta_slow")
        }
    if not ext and set(idle) - {"--yarn-attn-factor"}:
        raise CheckpointError(f"{_WHERE}: {', '.join(idle)} without --rope-scaling yarn has no effect; leave it out")
    if ext and not {"scaling.factor", ORIGINAL_LENGTH} <= set(keys):
        raise CheckpointError(
            f"{_WHERE}: yarn needs --rope-scale and --yarn-orig-ctx; the file's own are not known here"
        )
    return keys


def to_llama_cpp(encoding: Encoding, *, head_dim: int, context_length: int | None = None) -> str:
    """The options that select an encoding, whatever scaling the file has.

    Raises:
        CheckpointError: for what no option says.
    """
    rotary = to_common_rotary("llama.cpp's options", encoding, head_dim, needs_base=False)
    if isinstance(rotary, Llama3RoPE):
        why = (
            "the divisors are a tensor of the file, rope_freqs.weight. Convert the model with it, as to_gguf writes it"
        )
        raise unsupported("llama.cpp's options", encoding, why)
    keys = write_keys("llama.cpp's options", rotary, head_dim)
    if "dimension_count" in keys:
        why = "which part of a head turns is the file's: llama.rope.dimension_count. Leave rotary_dim out"
        raise unsupported("llama.cpp's options", encoding, why)
    if context_length is not None:
        keys["context"] = context_length
    words = {name: keys[flag.key] for name, flag in _FLAGS.items() if flag.key in keys}
    return " ".join(
        f"{name} {value if isinstance(value, str) else format_number(value)}" for name, value in words.items()
    )
