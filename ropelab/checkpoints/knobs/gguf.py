"""Metadata of a GGUF file ⇄ an encoding.

    llama.rope.freq_base  llama.rope.dimension_count  llama.context_length  rope_freqs.weight (the tensor of divisors)
    llama.rope.scaling.  type  factor  original_context_length  attn_factor  yarn_beta_fast  yarn_beta_slow

The keys are read by `gguf_rope`, as those of a file are. Written are the ones that mean what they say in every engine:
attn_factor, which multiplies YaRN's temperature, and not yarn_attn_factor, which one tool writes as its replacement.

Source: ggml-org/llama.cpp b9190, src/llama-model.cpp and src/llama-context.cpp.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.gguf_metadata import Metadata
from ropelab.checkpoints.gguf_rope import PREFIX, read_encoding
from ropelab.checkpoints.knobs.setting import (
    Setting,
    cannot_say,
    check_head,
    check_rest,
    rotary_of,
    shortest,
    unknown_key,
    whole,
)
from ropelab.encodings.base import Encoding
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.pi import PI
from ropelab.encodings.rope import RoPE
from ropelab.encodings.rotary import Rotary, plain_frequencies
from ropelab.encodings.yarn import YaRN, yarn_attention_factor

WHERE = "GGUF metadata"
LENGTH, DIVISORS, L0 = "llama.context_length", "rope_freqs.weight", "scaling.original_context_length"
KNOWN = (
    "freq_base", "dimension_count", "scale_linear", "scaling.type", "scaling.factor", L0, "scaling.finetuned",
    "scaling.attn_factor", "scaling.yarn_attn_factor", "scaling.yarn_ext_factor", "scaling.yarn_log_multiplier",
    "scaling.yarn_beta_fast", "scaling.yarn_beta_slow",
)  # fmt: skip
SHARED = {"base", "pairing", "rotary_dim"}
YARN = {"factor", "original_length", "beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim"}


def from_gguf(metadata: Mapping[str, Any], *, head_dim: int) -> Encoding:
    """The encoding that the rope keys of a GGUF mean; other keys are left alone.

    Args:
        metadata: keys as they stand in the file, and rope_freqs.weight as a sequence of divisors if it has that tensor.
        head_dim: dimensions of a head, `attention.key_length`.

    Raises:
        CheckpointError: for a key or a scaling that is not known, or two meanings of one key.
    """
    return read(metadata, head_dim=head_dim).encoding


def read(metadata: Mapping[str, Any], *, head_dim: int) -> Setting:
    """The encoding and the context length."""
    prefixes = {key.partition(".rope.")[0] for key in metadata if ".rope." in key}
    if len(prefixes) > 1:
        raise CheckpointError(f"{WHERE}: keys of several architectures, {', '.join(sorted(prefixes))}; keep one")
    arch = next(iter(prefixes), "llama")
    start = f"{arch}.rope."
    keys = {key.removeprefix(start): value for key, value in metadata.items() if key.startswith(start)}
    for key in keys:
        if key not in KNOWN:
            raise unknown_key(WHERE, start + key, [start + k for k in KNOWN])
    length = whole(WHERE, "context_length", metadata.get(f"{arch}.context_length"))
    check_head(WHERE, metadata.get(f"{arch}.attention.key_length"), head_dim)
    return Setting(encoding_of(WHERE, keys, head_dim, length, metadata.get(DIVISORS)), length)


def encoding_of(
    where: str, keys: Mapping[str, Any], head_dim: int, length: int | None = None, divisors: Any = None
) -> Rotary:
    """The encoding of keys without their prefix; `length` is what YaRN extends if no key says so."""
    trained = keys.get(L0) or length
    if trained is None and keys.get("scaling.type") == "yarn":
        raise CheckpointError(f"{where}: yarn needs {L0}, the length the weights were trained on")
    metadata = Metadata(where, {PREFIX + key: value for key, value in keys.items()})
    try:
        table = None if divisors is None else np.asarray(divisors, np.float64)
        return read_encoding(metadata, head_dim=head_dim, trained_length=trained or 0, divisors=table)
    except CheckpointError:
        raise
    except (TypeError, ValueError, OverflowError) as error:  # of values that no file holds
        raise CheckpointError(f"{where}: {error}") from None


def to_gguf(encoding: Encoding, *, head_dim: int, context_length: int | None = None) -> dict[str, Any]:
    """The metadata that means an encoding, and the tensor of divisors for Llama 3's.

    Raises:
        CheckpointError: for what a GGUF of the llama architecture cannot say.
    """
    rotary = rotary_of("GGUF", encoding, head_dim)
    keys: dict[str, Any] = {PREFIX + key: value for key, value in keys_of("GGUF", rotary, head_dim).items()}
    if context_length is not None:
        keys[LENGTH] = context_length
    if isinstance(rotary, Llama3RoPE):
        dim = rotary.rotated_dims(head_dim)
        plain = plain_frequencies(dim, base=rotary.require_base())
        keys[DIVISORS] = tuple((plain / rotary.frequencies(head_dim, 0)[0]).tolist())
    return keys


def keys_of(dialect: str, encoding: Rotary, head_dim: int) -> dict[str, Any]:
    """The keys without their prefix; Llama 3's divisors are no key, and left out."""
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
        check_rest(dialect, encoding, SHARED | YARN)
        return keys | yarn_keys(encoding)
    why = "it has none, linear, yarn and Llama 3's divisors. Run it from ropelab's own spec"
    raise cannot_say(dialect, encoding, why)


def yarn_keys(encoding: YaRN) -> dict[str, Any]:
    """YaRN's keys; attn_factor is what is left of the amplitude beside 0.1 ln(factor) + 1."""
    keys: dict[str, Any] = {
        "scaling.type": "yarn",
        "scaling.factor": encoding.factor,
        L0: encoding.original_length,
    }
    amplitude, usual = encoding.amplitude, yarn_attention_factor(encoding.factor)
    if amplitude != usual:
        keys["scaling.attn_factor"] = shortest(amplitude / usual, lambda attn: attn * usual == amplitude)
    if encoding.beta_fast != 32.0:
        keys["scaling.yarn_beta_fast"] = encoding.beta_fast
    if encoding.beta_slow != 1.0:
        keys["scaling.yarn_beta_slow"] = encoding.beta_slow
    return keys
