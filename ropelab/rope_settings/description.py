"""Descriptions of settings with their numbers, and the disagreements between engines about them."""

from collections.abc import Callable, Iterator
from typing import Any

from ropelab.encodings.base import Encoding
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.layers import Layers
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.longrope import LongRoPE
from ropelab.encodings.nope import NoPE
from ropelab.encodings.ntk import NTK, ntk_base
from ropelab.encodings.ntk_by_parts import NTKByParts
from ropelab.encodings.pi import PI
from ropelab.encodings.proportional import ProportionalRoPE
from ropelab.encodings.rope import RoPE
from ropelab.encodings.rotary import Rotary
from ropelab.encodings.yarn import YaRN, yarn_attention_factor
from ropelab.rope_settings.base import Setting, format_number


def describe(setting: Setting, *, head_dim: int) -> str:
    """Describe the effect of an encoding and the context length in sentences."""
    encoding = setting.encoding
    if isinstance(encoding, Layers):
        period = len(encoding.schedule)
        numbered = (f"{i + 1}: {_describe_encoding(e, head_dim)}" for i, e in enumerate(encoding.schedule))
        said = f"Layers alternate with a period of {period}. " + " ".join(numbered)
    else:
        said = _describe_encoding(encoding, head_dim)
    return " ".join(part for part in (said, _describe_context(setting)) if part)


def _describe_encoding(encoding: Encoding, head_dim: int) -> str:
    """Describe the encoding of one layer."""
    for kind, say in _DESCRIBERS:
        if isinstance(encoding, kind):
            return say(encoding, head_dim)
    return f"{encoding!r}: {(type(encoding).__doc__ or '').split(chr(10))[0]}"


def _name_base(encoding: Rotary) -> str:
    return "the model's base" if encoding.base is None else f"base {format_number(encoding.base)}"


def _describe_rope(encoding: RoPE, head_dim: int) -> str:
    part = (
        ""
        if encoding.rotated_dims(head_dim) == head_dim
        else f" in the first {encoding.rotary_dim} of {head_dim} dimensions"
    )
    return f"Positions are used unchanged, with {_name_base(encoding)}{part}."


def _describe_pi(encoding: PI, head_dim: int) -> str:
    del head_dim
    return f"Positions are divided by {format_number(encoding.factor)}, with {_name_base(encoding)}."


def _describe_ntk(encoding: NTK, head_dim: int) -> str:
    dim, alpha = encoding.rotated_dims(head_dim), format_number(encoding.alpha)
    grown = "" if encoding.base is None else f", = {ntk_base(dim, base=encoding.base, alpha=encoding.alpha):.2f}"
    return (
        f"The base is {_name_base(encoding).removeprefix('base ')} times {alpha}^({dim}/{dim - 2}){grown}: "
        f"the slowest pair rotates {alpha} times slower, the fastest as before."
    )


def _describe_dynamic(encoding: DynamicNTK, head_dim: int) -> str:
    dim, f, length = encoding.rotated_dims(head_dim), format_number(encoding.factor), encoding.original_length
    return (
        f"Nothing changes up to {length} tokens; at a longer length l, {_name_base(encoding)} is multiplied by "
        f"({f} l / {length} - {format_number(encoding.factor - 1)})^({dim}/{dim - 2})."
    )


def _describe_yarn(encoding: YaRN, head_dim: int) -> str:
    del head_dim
    fast, slow, factor = (format_number(x) for x in (encoding.beta_fast, encoding.beta_slow, encoding.factor))
    ramp, length = "pair index" if encoding.ramp == "index" else "number of rotations", encoding.original_length
    return (
        f"With {_name_base(encoding)}, pairs with more than {fast} rotations in {length} tokens are unchanged, pairs "
        f"with less than {slow} are divided by {factor}, with a ramp over the {ramp} between them; "
        f"queries and keys are multiplied by {encoding.amplitude:.6g}, "
        f"so scores by {encoding.amplitude * encoding.amplitude:.6g}."
    )


def _describe_llama3(encoding: Llama3RoPE | NTKByParts, head_dim: int) -> str:
    del head_dim
    by_parts = isinstance(encoding, NTKByParts)
    fast = format_number(encoding.beta if by_parts else encoding.high_freq_factor)
    slow = format_number(encoding.alpha if by_parts else encoding.low_freq_factor)
    return (
        f"With {_name_base(encoding)}, pairs with more than {fast} rotations in {encoding.original_length} tokens "
        f"are unchanged, pairs with less than {slow} are divided by {format_number(encoding.factor)}, with a ramp "
        "over the number of rotations between them; there is no temperature."
    )


def _describe_longrope(encoding: LongRoPE, head_dim: int) -> str:
    amplitude = encoding.frequencies(head_dim, 1)[1] if encoding.base is not None else None
    times = "" if amplitude is None else f"; queries and keys are multiplied by {amplitude:.6g} at every length"
    lists = {
        "length": f"one list up to {encoding.original_length} tokens and another beyond",
        "short": "always the short list",
        "long": "always the long list",
    }
    return f"With {_name_base(encoding)}, each pair has a separate divisor, {lists[encoding.select]}{times}."


def _describe_proportional(encoding: ProportionalRoPE, head_dim: int) -> str:
    pairs, base = encoding.rotated_dims(head_dim) // 2, _name_base(encoding)
    kept = int(encoding.fraction * encoding.rotated_dims(head_dim) // 2)
    return f"The {kept} fastest of {pairs} pairs rotate, with {base} over all pairs; the others never rotate."


def _describe_nope(encoding: NoPE, head_dim: int) -> str:
    del encoding, head_dim
    return "Positions are not encoded."


_DESCRIBERS: tuple[tuple[Any, Callable[..., str]], ...] = (
    (RoPE, _describe_rope),
    (PI, _describe_pi),
    (NTK, _describe_ntk),
    (DynamicNTK, _describe_dynamic),
    (YaRN, _describe_yarn),
    (Llama3RoPE, _describe_llama3),
    (NTKByParts, _describe_llama3),
    (LongRoPE, _describe_longrope),
    (ProportionalRoPE, _describe_proportional),
    (NoPE, _describe_nope),
)


def _describe_context(setting: Setting) -> str:
    """Compare the context length with the trained length."""
    length, encoding = setting.context_length, setting.encoding
    if length is None:
        return ""
    if isinstance(encoding, PI):
        trained = format_number(length / encoding.factor)
        return f"The context is {length} tokens, for weights trained on {trained} tokens."
    trained = getattr(encoding, "original_length", None)
    return f"The context is {length} tokens" + ("." if trained is None else f"; the weights were trained on {trained}.")


def find_disagreements(setting: Setting, *, head_dim: int, base: float | None = None) -> tuple[str, ...]:
    """List how engines disagree about a setting, or apply another one, with the numbers of this setting.

    Args:
        base: the model's base, to recognize an enlarged one.
    """
    found = [
        text for kind in setting.encoding.unique_encodings() for text in _layer_disagreements(kind, head_dim, base)
    ]
    if isinstance(setting.encoding, Layers):
        found.append("no_rope_layers is the opposite of its name: a 1 is a layer with rotation.")
        found.append(
            "Layer types also select the attention pattern (sliding, chunked), which is not part of an encoding."
        )
    return tuple(dict.fromkeys([*found, *_context_disagreements(setting)]))


def _layer_disagreements(encoding: Encoding, head_dim: int, base: float | None) -> Iterator[str]:
    """List the disagreements about the encoding of one layer."""
    if isinstance(encoding, YaRN):
        yield from _yarn_disagreements(encoding)
    if isinstance(encoding, NTK):
        yield from _ntk_disagreements(encoding.rotated_dims(head_dim), encoding.base or 10000.0, encoding.alpha)
    if isinstance(encoding, RoPE | PI) and base is not None and encoding.base is not None and encoding.base > base:
        dim = encoding.rotated_dims(head_dim)
        yield from _ntk_disagreements(dim, base, (encoding.base / base) ** ((dim - 2) / dim))
    if isinstance(encoding, DynamicNTK):
        constant = format_number(encoding.factor * encoding.factor - encoding.factor + 1)
        yield (
            f"dynamic: vLLM (until 2026-04) and EasyDeL fix alpha at f^2 - f + 1 = {constant} at every length; "
            "transformers uses the longest row of a batch, and does not update cached keys."
        )
    if isinstance(encoding, LongRoPE):
        yield (
            "longrope: transformers picks the list by the length of each call, which mixes cached keys of both lists; "
            "vLLM and llama.cpp pick it once, by the configured context."
        )
    if isinstance(encoding, Llama3RoPE) and encoding.factor != 8:
        factor = format_number(encoding.factor)
        yield f"llama3: engines with a fixed factor of 8, such as MaxText, are wrong for {factor}."
    if isinstance(encoding, ProportionalRoPE):
        yield "proportional: its exponents count all pairs, those of partial_rotary_factor only the rotated pairs."


def _yarn_disagreements(encoding: YaRN) -> Iterator[str]:
    usual = yarn_attention_factor(encoding.factor)
    amplitude, beside = f"{encoding.amplitude:.6g}", f"{encoding.amplitude / usual:.6g}"
    yield (
        f"attn_factor: transformers' attention_factor={amplitude} replaces 0.1 ln(factor) + 1 = {usual:.6g}, "
        f"llama.cpp's attn_factor={beside} multiplies it. Confusing them scales scores by {usual**2:.4g}."
    )
    if encoding.amplitude != usual:
        yield (
            "attn_factor: with YaRN, llama.cpp overwrites --yarn-attn-factor since pull request 17945 (so b9190); "
            f"the file's key is applied: --override-kv llama.rope.scaling.attn_factor=float:{beside}."
        )
    if (encoding.beta_fast, encoding.beta_slow) != (32.0, 1.0):
        yield "betas: llama.cpp (b9190) ignores a Llama file's yarn_beta_fast and yarn_beta_slow; pass them as options."
    yield (
        "yarn: all engines use a ramp over the pair index, the paper over the number of rotations (up to 67 % apart); "
        "without original_max_position_embeddings transformers uses the extended length, which shifts the ramp."
    )


def _ntk_disagreements(dim: int, base: float, alpha: float) -> Iterator[str]:
    """List the exponents in use, and the fixed base of text-generation-webui."""
    other = 64 if dim == 128 else 128
    right, elsewhere = (ntk_base(d, base=base, alpha=alpha) for d in (dim, other))
    yield (
        f"ntk: the exponent is d/(d-2), and 64/63 only for a head_dim of 128: the base is {right:.2f} for {dim} "
        f"rotated dimensions, {elsewhere:.2f} for {other}."
    )
    if (dim, base) != (128, 10000.0):
        yield "ntk: text-generation-webui always uses 64/63 and base 10000, so its rope_freq_base is wrong here."
    yield "ntk: vLLM's rope type 'ntk' has another exponent, and its 'dynamic' with alpha is this static base."


def _context_disagreements(setting: Setting) -> Iterator[str]:
    """Report a context longer than the scaling supports."""
    encoding, length = setting.encoding, setting.context_length
    if isinstance(encoding, YaRN | LongRoPE) and length is not None:
        reach = encoding.factor * encoding.original_length
        if length > reach:
            supported = f"{format_number(encoding.factor)} × {encoding.original_length} = {format_number(reach)}"
            yield f"context: {length} tokens are more than the scaling supports, {supported}."
