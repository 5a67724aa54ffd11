"""GGUF metadata → the encoding it describes.

    angle_i = p base^(-2i/d) / (factor divisor_i),   cos and sin times attn_factor

and with YaRN the pairs divided as YaRN does, cos and sin times attn_factor (1 + 0.1 ln factor). The divisors are the
tensor `rope_freqs.weight`: Llama 3.1's scaling, which has no metadata of its own.

Source: ggml-org/llama.cpp b9190, src/llama-context.cpp and ggml-cpu/ops.cpp. For a Llama it reads none of the keys
yarn_ext_factor, yarn_attn_factor, yarn_beta_fast and yarn_beta_slow, though its converter writes them; here they mean
what llama.cpp's options of these names mean.
"""

import math

import numpy as np

from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.gguf_metadata import Metadata
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.pi import PI
from ropelab.encodings.rope import RoPE
from ropelab.encodings.rotary import Rotary
from ropelab.encodings.yarn import YaRN, yarn_attention_factor

PREFIX = "llama.rope."
LLAMA3_LENGTH = 8192
DIVISOR_TOLERANCE = 1e-4


def read_encoding(metadata: Metadata, *, head_dim: int, trained_length: int, divisors: np.ndarray | None) -> Rotary:
    """The encoding the weights were trained with.

    Args:
        trained_length: what YaRN extends, if the file does not say otherwise.
        divisors: the tensor rope_freqs.weight, None if there is none.

    Raises:
        CheckpointError: for a scaling that has no equal here, with the reason.
    """
    try:
        encoding = scaled(metadata, trained_length, plain(metadata, head_dim))
        encoding.check(head_dim)
        return encoding if divisors is None else divided(metadata, encoding, head_dim, divisors)
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{metadata.path}: {error}") from None


def plain(metadata: Metadata, head_dim: int) -> RoPE:
    """The rotation without its scaling; llama.cpp's base is 10000 where a file names none."""
    turned = metadata.get(PREFIX + "dimension_count", int, head_dim)
    if turned > head_dim:
        raise CheckpointError(
            f"{metadata.path}: {PREFIX}dimension_count={turned} exceeds the head dimension {head_dim}"
        )
    base = metadata.get(PREFIX + "freq_base", float, 10000.0)
    return RoPE(base=base, rotary_dim=None if turned == head_dim else turned)


def scaled(metadata: Metadata, trained_length: int, rope: RoPE) -> Rotary:
    """`rope` with the scaling of the keys `rope.scaling.*` (or the older `rope.scale_linear`)."""
    kind = metadata.get(PREFIX + "scaling.type", str, "linear")
    if kind not in ("none", "linear", "yarn"):
        raise CheckpointError(f"{metadata.path}: rope scaling {kind!r} is not read; only none, linear and yarn are")
    older = metadata.get(PREFIX + "scale_linear", float, 0.0)
    factor = metadata.get(PREFIX + "scaling.factor", float, older) or 1.0
    if kind == "yarn":
        return yarn(metadata, trained_length, rope, factor)
    if amplitude(metadata) != 1.0:
        raise CheckpointError(f"{metadata.path}: an attn_factor of {amplitude(metadata)} without yarn is not supported")
    if kind == "none" or factor == 1.0:
        return rope
    return PI(base=rope.base, rotary_dim=rope.rotary_dim, factor=factor)


def amplitude(metadata: Metadata) -> float:
    """What multiplies cos and sin besides YaRN's own temperature."""
    ambiguous = metadata.get(PREFIX + "scaling.yarn_attn_factor", float, 1.0)
    if ambiguous != 1.0:
        raise CheckpointError(
            f"{metadata.path}: yarn_attn_factor={ambiguous} is written as a replacement of YaRN's temperature by one "
            "tool and read as a factor of it by another; write attn_factor, which multiplies"
        )
    return metadata.get(PREFIX + "scaling.attn_factor", float, 1.0)


def yarn(metadata: Metadata, trained_length: int, rope: RoPE, factor: float) -> YaRN:
    extrapolation = metadata.get(PREFIX + "scaling.yarn_ext_factor", float, 1.0)
    if extrapolation != 1.0:
        raise CheckpointError(
            f"{metadata.path}: yarn_ext_factor={extrapolation} mixes YaRN with interpolation; only 1 is read"
        )
    if metadata.get(PREFIX + "scaling.yarn_log_multiplier", float, 0.0) != 0.0:
        raise CheckpointError(f"{metadata.path}: yarn_log_multiplier (DeepSeek's temperature) is not part of a Llama")
    extra = amplitude(metadata)
    return YaRN(
        base=rope.base,
        rotary_dim=rope.rotary_dim,
        factor=factor,
        original_length=trained_length,
        beta_fast=metadata.get(PREFIX + "scaling.yarn_beta_fast", float, 32.0),
        beta_slow=metadata.get(PREFIX + "scaling.yarn_beta_slow", float, 1.0),
        attention_factor=None if extra == 1.0 else extra * yarn_attention_factor(factor),
    )


def divided(metadata: Metadata, encoding: Rotary, head_dim: int, divisors: np.ndarray) -> Rotary:
    """The encoding whose frequencies are those of `encoding` over `divisors`.

    The slowest pair alone says by how much Llama 3 extends; all others then have to agree.
    """
    if np.all(divisors == 1.0):
        return encoding
    if not isinstance(encoding, RoPE):
        raise CheckpointError(
            f"{metadata.path}: rope_freqs.weight on top of {type(encoding).__name__} has no equal here"
        )
    factor = float(f"{divisors.max():.6g}")
    if divisors.shape == (encoding.rotated_dims(head_dim) // 2,) and math.isfinite(factor) and factor >= 1.0:
        llama3 = Llama3RoPE(
            base=encoding.base, rotary_dim=encoding.rotary_dim, factor=factor, original_length=LLAMA3_LENGTH
        )
        expected = encoding.frequencies(head_dim, 0)[0] / llama3.frequencies(head_dim, 0)[0]
        if np.allclose(divisors, expected, rtol=DIVISOR_TOLERANCE, atol=0.0):
            return llama3
    raise CheckpointError(
        f"{metadata.path}: the divisors in rope_freqs.weight are not Llama 3's for a trained length of "
        f"{LLAMA3_LENGTH}; load the Hugging Face directory, whose config.json names the scaling"
    )
