"""Rope metadata of GGUF files. The package gguf is not needed.

    llama.rope.freq_base  llama.rope.dimension_count  llama.context_length  rope_freqs.weight (the tensor of divisors)
    llama.rope.scaling.  type  factor  original_context_length  attn_factor  yarn_beta_fast  yarn_beta_slow

The angles of a pair are

    angle_i = p base^(-2i/d) / (factor divisor_i),   cos and sin times attn_factor

With YaRN, the pairs are divided as in YaRN, and cos and sin are multiplied by attn_factor (1 + 0.1 ln factor). The
divisors are the tensor `rope_freqs.weight`: Llama 3.1's scaling, which has no other metadata.

Only keys with the same meaning in all engines are written: attn_factor, which multiplies YaRN's temperature, and not
yarn_attn_factor, which one tool writes as a replacement of it. For a Llama, llama.cpp reads none of the keys
yarn_ext_factor, yarn_attn_factor, yarn_beta_fast and yarn_beta_slow, although its converter writes them; here they have
the meaning of llama.cpp's options of these names.

Source: ggml-org/llama.cpp b9190, src/llama-model.cpp, src/llama-context.cpp and ggml-cpu/ops.cpp.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ropelab.encodings.base import Encoding
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.pi import PI
from ropelab.encodings.rope import RoPE
from ropelab.encodings.rotary import Rotary, plain_frequencies
from ropelab.encodings.yarn import YaRN, yarn_attention_factor
from ropelab.errors import CheckpointError
from ropelab.rope_settings.base import (
    Setting,
    check_count,
    check_fields,
    check_head_dim,
    find_shortest,
    to_common_rotary,
    unknown_key,
    unsupported,
)

T = TypeVar("T")


class Metadata:
    """Key-value pairs of a GGUF file, whose types are checked on access.

    Attributes:
        path: the file, or another name for error messages.
        values: the value of each key.
    """

    def __init__(self, path: Path | str, values: Mapping[str, Any]):
        self.path = path
        self.values = values

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def get(self, key: str, kind: type[T], default: T) -> T:
        """Return the value of `key`, or the default if it is missing."""
        return self.need(key, kind) if key in self.values else default

    def need(self, key: str, kind: type[T]) -> T:
        """Return the value of `key`.

        Raises:
            CheckpointError: if it is missing or has another type.
        """
        if key not in self.values:
            raise CheckpointError(f"{self.path}: metadata key {key} is missing; convert the model again")
        value = self.values[key]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise CheckpointError(
                f"{self.path}: {key} is a {type(value).__name__} ({str(value)[:40]}), not a {kind.__name__}"
            )
        return value


_PREFIX = "llama.rope."
_LLAMA3_LENGTH = 8192
_DIVISOR_TOLERANCE = 1e-4


def read_encoding(metadata: Metadata, *, head_dim: int, trained_length: int, divisors: np.ndarray | None) -> Rotary:
    """Read the encoding that the weights were trained with.

    Args:
        trained_length: YaRN's original length, if the file does not state it.
        divisors: the tensor rope_freqs.weight, None if there is none.

    Raises:
        CheckpointError: for a scaling that is not supported, with the reason.
    """
    try:
        encoding = _read_scaling(metadata, trained_length, _read_rope(metadata, head_dim))
        encoding.check(head_dim)
        return encoding if divisors is None else _match_divisors(metadata, encoding, head_dim, divisors)
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{metadata.path}: {error}") from None


def _read_rope(metadata: Metadata, head_dim: int) -> RoPE:
    """Read the rotation without its scaling; llama.cpp's default base is 10000."""
    turned = metadata.get(_PREFIX + "dimension_count", int, head_dim)
    if turned > head_dim:
        raise CheckpointError(
            f"{metadata.path}: {_PREFIX}dimension_count={turned} exceeds the head dimension {head_dim}"
        )
    base = metadata.get(_PREFIX + "freq_base", float, 10000.0)
    return RoPE(base=base, rotary_dim=None if turned == head_dim else turned)


def _read_scaling(metadata: Metadata, trained_length: int, rope: RoPE) -> Rotary:
    """Apply the scaling of the keys `rope.scaling.*` (or the older `rope.scale_linear`) to `rope`."""
    kind = metadata.get(_PREFIX + "scaling.type", str, "linear")
    if kind not in ("none", "linear", "yarn"):
        raise CheckpointError(f"{metadata.path}: rope scaling {kind!r} is not supported; use none, linear or yarn")
    older = metadata.get(_PREFIX + "scale_linear", float, 0.0)
    factor = metadata.get(_PREFIX + "scaling.factor", float, older) or 1.0
    if kind == "yarn":
        return _read_yarn(metadata, trained_length, rope, factor)
    if _read_attn_factor(metadata) != 1.0:
        raise CheckpointError(
            f"{metadata.path}: an attn_factor of {_read_attn_factor(metadata)} without yarn is not supported"
        )
    if kind == "none" or factor == 1.0:
        return rope
    return PI(base=rope.base, rotary_dim=rope.rotary_dim, factor=factor)


def _read_attn_factor(metadata: Metadata) -> float:
    """Read the factor of cos and sin in addition to YaRN's own temperature."""
    ambiguous = metadata.get(_PREFIX + "scaling.yarn_attn_factor", float, 1.0)
    if ambiguous != 1.0:
        raise CheckpointError(
            f"{metadata.path}: yarn_attn_factor={ambiguous} is ambiguous: one tool writes it as a replacement of "
            "YaRN's temperature, another reads it as a factor; use attn_factor, which multiplies"
        )
    return metadata.get(_PREFIX + "scaling.attn_factor", float, 1.0)


def _read_yarn(metadata: Metadata, trained_length: int, rope: RoPE, factor: float) -> YaRN:
    """Read YaRN's parameters."""
    extrapolation = metadata.get(_PREFIX + "scaling.yarn_ext_factor", float, 1.0)
    if extrapolation != 1.0:
        raise CheckpointError(
            f"{metadata.path}: yarn_ext_factor={extrapolation} mixes YaRN with interpolation; only 1 is supported"
        )
    if metadata.get(_PREFIX + "scaling.yarn_log_multiplier", float, 0.0) != 0.0:
        raise CheckpointError(f"{metadata.path}: yarn_log_multiplier (DeepSeek's temperature) is not part of a Llama")
    extra = _read_attn_factor(metadata)
    return YaRN(
        base=rope.base,
        rotary_dim=rope.rotary_dim,
        factor=factor,
        original_length=trained_length,
        beta_fast=metadata.get(_PREFIX + "scaling.yarn_beta_fast", float, 32.0),
        beta_slow=metadata.get(_PREFIX + "scaling.yarn_beta_slow", float, 1.0),
        attention_factor=None if extra == 1.0 else extra * yarn_attention_factor(factor),
    )


def _match_divisors(metadata: Metadata, encoding: Rotary, head_dim: int, divisors: np.ndarray) -> Rotary:
    """Find the encoding whose frequencies are those of `encoding` divided by `divisors`.

    The slowest pair determines Llama 3's factor; all other pairs must then agree.
    """
    if np.all(divisors == 1.0):
        return encoding
    if not isinstance(encoding, RoPE):
        raise CheckpointError(f"{metadata.path}: rope_freqs.weight with {type(encoding).__name__} is not supported")
    factor = float(f"{divisors.max():.6g}")
    if divisors.shape == (encoding.rotated_dims(head_dim) // 2,) and math.isfinite(factor) and factor >= 1.0:
        llama3 = Llama3RoPE(
            base=encoding.base, rotary_dim=encoding.rotary_dim, factor=factor, original_length=_LLAMA3_LENGTH
        )
        expected = encoding.frequencies(head_dim, 0)[0] / llama3.frequencies(head_dim, 0)[0]
        if np.allclose(divisors, expected, rtol=_DIVISOR_TOLERANCE, atol=0.0):
            return llama3
    raise CheckpointError(
        f"{metadata.path}: the divisors in rope_freqs.weight are not Llama 3's for a trained length of "
        f"{_LLAMA3_LENGTH}; load the Hugging Face directory, whose config.json states the scaling"
    )


_WHERE = "GGUF metadata"
_LENGTH, _DIVISORS, ORIGINAL_LENGTH = "llama.context_length", "rope_freqs.weight", "scaling.original_context_length"
_KNOWN_KEYS = (
    "freq_base", "dimension_count", "scale_linear", "scaling.type", "scaling.factor", ORIGINAL_LENGTH,
    "scaling.finetuned", "scaling.attn_factor", "scaling.yarn_attn_factor", "scaling.yarn_ext_factor",
    "scaling.yarn_log_multiplier", "scaling.yarn_beta_fast", "scaling.yarn_beta_slow",
)  # fmt: skip
_SHARED_FIELDS = {"base", "pairing", "rotary_dim"}
_YARN_FIELDS = {"factor", "original_length", "beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim"}


def from_gguf(metadata: Mapping[str, Any], *, head_dim: int) -> Encoding:
    """Return the encoding for the rope keys of a GGUF; other keys are ignored.

    Args:
        metadata: keys as in the file, and rope_freqs.weight as a sequence of divisors if the file has that tensor.
        head_dim: the head dimension, `attention.key_length`.

    Raises:
        CheckpointError: for an unknown key or scaling, or an ambiguous key.
    """
    return read(metadata, head_dim=head_dim).encoding


def read(metadata: Mapping[str, Any], *, head_dim: int) -> Setting:
    """Read the encoding and the context length."""
    prefixes = {key.partition(".rope.")[0] for key in metadata if ".rope." in key}
    if len(prefixes) > 1:
        raise CheckpointError(f"{_WHERE}: keys of several architectures, {', '.join(sorted(prefixes))}; keep one")
    arch = next(iter(prefixes), "llama")
    start = f"{arch}.rope."
    keys = {key.removeprefix(start): value for key, value in metadata.items() if key.startswith(start)}
    for key in keys:
        if key not in _KNOWN_KEYS:
            raise unknown_key(_WHERE, start + key, [start + k for k in _KNOWN_KEYS])
    length = check_count(_WHERE, "context_length", metadata.get(f"{arch}.context_length"))
    check_head_dim(_WHERE, metadata.get(f"{arch}.attention.key_length"), head_dim)
    return Setting(read_keys(_WHERE, keys, head_dim, length, metadata.get(_DIVISORS)), length)


def read_keys(
    where: str, keys: Mapping[str, Any], head_dim: int, length: int | None = None, divisors: Any = None
) -> Rotary:
    """Read the encoding of keys without their prefix; `length` is YaRN's original length if no key states it."""
    trained = keys.get(ORIGINAL_LENGTH) or length
    if trained is None and keys.get("scaling.type") == "yarn":
        raise CheckpointError(f"{where}: yarn needs {ORIGINAL_LENGTH}, the trained length of the weights")
    metadata = Metadata(where, {_PREFIX + key: value for key, value in keys.items()})
    try:
        table = None if divisors is None else np.asarray(divisors, np.float64)
        return read_encoding(metadata, head_dim=head_dim, trained_length=trained or 0, divisors=table)
    except CheckpointError:
        raise
    except (TypeError, ValueError, OverflowError) as error:  # for values that no file can have
        raise CheckpointError(f"{where}: {error}") from None


def to_gguf(encoding: Encoding, *, head_dim: int, context_length: int | None = None) -> dict[str, Any]:
    """Return the metadata for an encoding, and the tensor of divisors for Llama 3's scaling.

    Raises:
        CheckpointError: if a GGUF of the llama architecture cannot express the encoding.
    """
    rotary = to_common_rotary("GGUF", encoding, head_dim)
    keys: dict[str, Any] = {_PREFIX + key: value for key, value in write_keys("GGUF", rotary, head_dim).items()}
    if context_length is not None:
        keys[_LENGTH] = context_length
    if isinstance(rotary, Llama3RoPE):
        dim = rotary.rotated_dims(head_dim)
        plain = plain_frequencies(dim, base=rotary.require_base())
        keys[_DIVISORS] = tuple((plain / rotary.frequencies(head_dim, 0)[0]).tolist())
    return keys


def write_keys(dialect: str, encoding: Rotary, head_dim: int) -> dict[str, Any]:
    """Return the keys without their prefix, and without Llama 3's divisors, which are a tensor."""
    keys: dict[str, Any] = {}
    if encoding.base is not None:
        keys["freq_base"] = encoding.base
    if encoding.rotated_dims(head_dim) != head_dim:
        keys["dimension_count"] = encoding.rotated_dims(head_dim)
    if isinstance(encoding, RoPE | Llama3RoPE):
        return keys | {"scaling.type": "none"}
    if isinstance(encoding, PI):
        return keys | {"scaling.type": "linear", "scaling.factor": encoding.factor}
    if isinstance(encoding, YaRN):
        check_fields(dialect, encoding, _SHARED_FIELDS | _YARN_FIELDS)
        return keys | _write_yarn(encoding)
    why = "it supports none, linear, yarn and Llama 3's divisors. Use ropelab's own spec"
    raise unsupported(dialect, encoding, why)


def _write_yarn(encoding: YaRN) -> dict[str, Any]:
    """Return YaRN's keys; attn_factor is the amplitude divided by 0.1 ln(factor) + 1."""
    keys: dict[str, Any] = {
        "scaling.type": "yarn",
        "scaling.factor": encoding.factor,
        ORIGINAL_LENGTH: encoding.original_length,
    }
    amplitude, usual = encoding.amplitude, yarn_attention_factor(encoding.factor)
    if amplitude != usual:
        keys["scaling.attn_factor"] = find_shortest(amplitude / usual, lambda attn: attn * usual == amplitude)
    if encoding.beta_fast != 32.0:
        keys["scaling.yarn_beta_fast"] = encoding.beta_fast
    if encoding.beta_slow != 1.0:
        keys["scaling.yarn_beta_slow"] = encoding.beta_slow
    return keys
