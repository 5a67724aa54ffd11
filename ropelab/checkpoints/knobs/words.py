"""A setting in words: what happens to a position, with the numbers that the names hide."""

from collections.abc import Callable
from typing import Any

from ropelab.checkpoints.knobs.setting import Setting, digits
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
from ropelab.encodings.yarn import YaRN


def in_words(setting: Setting, *, head_dim: int) -> str:
    """Sentences that say what the encoding does, and what the context length is to it."""
    encoding = setting.encoding
    if isinstance(encoding, Layers):
        period = len(encoding.schedule)
        numbered = (f"{i + 1}: {sentence(e, head_dim)}" for i, e in enumerate(encoding.schedule))
        said = f"Layers alternate with a period of {period}. " + " ".join(numbered)
    else:
        said = sentence(encoding, head_dim)
    return " ".join(part for part in (said, context(setting)) if part)


def sentence(encoding: Encoding, head_dim: int) -> str:
    """What one layer does."""
    for kind, say in SENTENCES:
        if isinstance(encoding, kind):
            return say(encoding, head_dim)
    return f"{encoding!r}: {(type(encoding).__doc__ or '').split(chr(10))[0]}"


def base_of(encoding: Rotary) -> str:
    return "the model's own base" if encoding.base is None else f"base {digits(encoding.base)}"


def rope(encoding: RoPE, head_dim: int) -> str:
    part = (
        ""
        if encoding.rotated_dims(head_dim) == head_dim
        else f" in the first {encoding.rotary_dim} of {head_dim} dimensions"
    )
    return f"Positions turn as they are, with {base_of(encoding)}{part}."


def pi(encoding: PI, head_dim: int) -> str:
    del head_dim
    return f"Positions are divided by {digits(encoding.factor)}, with {base_of(encoding)}."


def ntk(encoding: NTK, head_dim: int) -> str:
    dim, alpha = encoding.rotated_dims(head_dim), digits(encoding.alpha)
    grown = "" if encoding.base is None else f", = {ntk_base(dim, base=encoding.base, alpha=encoding.alpha):.2f}"
    return (
        f"The base is {base_of(encoding).removeprefix('base ')} times {alpha}^({dim}/{dim - 2}){grown}: "
        f"the slowest pair turns {alpha} times slower, the fastest as before."
    )


def dynamic(encoding: DynamicNTK, head_dim: int) -> str:
    dim, f, length = encoding.rotated_dims(head_dim), digits(encoding.factor), encoding.original_length
    return (
        f"Nothing changes up to {length} tokens; at a length l beyond, {base_of(encoding)} is multiplied by "
        f"({f} l / {length} - {digits(encoding.factor - 1)})^({dim}/{dim - 2})."
    )


def yarn(encoding: YaRN, head_dim: int) -> str:
    del head_dim
    fast, slow, factor = (digits(x) for x in (encoding.beta_fast, encoding.beta_slow, encoding.factor))
    ramp = "pair index" if encoding.ramp == "index" else "number of turns"
    return (
        f"Of {base_of(encoding)}, pairs that turn more than {fast} times in {encoding.original_length} tokens are left "
        f"alone, those that turn less than {slow} times are divided by {factor}, a ramp over the {ramp} joins them; "
        f"queries and keys are multiplied by {encoding.amplitude:.6g}, "
        f"so scores by {encoding.amplitude * encoding.amplitude:.6g}."
    )


def llama3(encoding: Llama3RoPE | NTKByParts, head_dim: int) -> str:
    del head_dim
    by_parts = isinstance(encoding, NTKByParts)
    fast = encoding.beta if by_parts else encoding.high_freq_factor
    slow = encoding.alpha if by_parts else encoding.low_freq_factor
    return (
        f"Of {base_of(encoding)}, pairs that turn more than {digits(fast)} times in {encoding.original_length} tokens "
        f"are left alone, those that turn less than {digits(slow)} times are divided by {digits(encoding.factor)}, "
        "a ramp over the number of turns joins them; there is no temperature."
    )


def longrope(encoding: LongRoPE, head_dim: int) -> str:
    amplitude = encoding.frequencies(head_dim, 1)[1] if encoding.base is not None else None
    times = "" if amplitude is None else f"; queries and keys are multiplied by {amplitude:.6g} at every length"
    lists = {
        "length": f"one list up to {encoding.original_length} tokens and another beyond",
        "short": "the short list, always",
        "long": "the long list, always",
    }
    return f"Each pair of {base_of(encoding)} is divided by a number of its own, {lists[encoding.select]}{times}."


def proportional(encoding: ProportionalRoPE, head_dim: int) -> str:
    pairs = encoding.rotated_dims(head_dim) // 2
    kept = int(encoding.fraction * encoding.rotated_dims(head_dim) // 2)
    return (
        f"The {kept} fastest of {pairs} pairs turn, with {base_of(encoding)} counted over all; the others never turn."
    )


def nope(encoding: NoPE, head_dim: int) -> str:
    del encoding, head_dim
    return "Positions are not encoded."


SENTENCES: tuple[tuple[Any, Callable[..., str]], ...] = (
    (RoPE, rope), (PI, pi), (NTK, ntk), (DynamicNTK, dynamic), (YaRN, yarn), (Llama3RoPE, llama3), (NTKByParts, llama3),
    (LongRoPE, longrope), (ProportionalRoPE, proportional), (NoPE, nope),
)  # fmt: skip


def context(setting: Setting) -> str:
    """What a context length is to the length the weights were trained on."""
    length, encoding = setting.context_length, setting.encoding
    if length is None:
        return ""
    if isinstance(encoding, PI):
        return (
            f"The context is {length} tokens, trained on {digits(length / encoding.factor)} if it is used to the full."
        )
    trained = getattr(encoding, "original_length", None)
    return f"The context is {length} tokens" + ("." if trained is None else f", of {trained} trained.")
