"""Where engines disagree about a setting, or apply another one than was written."""

from collections.abc import Iterator

from ropelab.checkpoints.knobs.setting import Setting, digits
from ropelab.encodings.base import Encoding
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.layers import Layers
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.longrope import LongRoPE
from ropelab.encodings.ntk import NTK, ntk_base
from ropelab.encodings.pi import PI
from ropelab.encodings.proportional import ProportionalRoPE
from ropelab.encodings.rope import RoPE
from ropelab.encodings.yarn import YaRN, yarn_attention_factor


def disagreements(setting: Setting, *, head_dim: int, base: float | None = None) -> tuple[str, ...]:
    """One sentence for each trap, with the numbers of this setting.

    Args:
        base: the model's own, to see that an encoding has a larger one.
    """
    found = [text for kind in setting.encoding.unique_encodings() for text in of_one(kind, head_dim, base)]
    if isinstance(setting.encoding, Layers):
        found.append("no_rope_layers counts the other way round than its name: a 1 is a layer with rotation.")
        found.append(
            "Layer types choose the attention pattern too (sliding, chunked), which is no part of an encoding."
        )
    return tuple(dict.fromkeys([*found, *too_long(setting)]))


def of_one(encoding: Encoding, head_dim: int, base: float | None) -> Iterator[str]:
    """The traps of one layer's encoding."""
    if isinstance(encoding, YaRN):
        yield from yarn(encoding)
    if isinstance(encoding, NTK):
        yield from ntk(encoding.rotated_dims(head_dim), encoding.base or 10000.0, encoding.alpha)
    if isinstance(encoding, RoPE | PI) and base is not None and encoding.base is not None and encoding.base > base:
        dim = encoding.rotated_dims(head_dim)
        yield from ntk(dim, base, (encoding.base / base) ** ((dim - 2) / dim))
    if isinstance(encoding, DynamicNTK):
        constant = digits(encoding.factor * encoding.factor - encoding.factor + 1)
        yield (
            f"dynamic: vLLM (until 2026-04) and EasyDeL hold alpha at f^2 - f + 1 = {constant} at every length; "
            "transformers grows with the longest row of a batch, and leaves the keys it has cached as they were."
        )
    if isinstance(encoding, LongRoPE):
        yield (
            "longrope: transformers picks the list by the length of each call, so that cached keys of both lists mix; "
            "vLLM and llama.cpp pick it once, by the configured context."
        )
    if isinstance(encoding, Llama3RoPE) and encoding.factor != 8:
        yield f"llama3: engines that build in factor 8, MaxText among them, are wrong for {digits(encoding.factor)}."
    if isinstance(encoding, ProportionalRoPE):
        yield "proportional: its exponents count all pairs, those of partial_rotary_factor elsewhere the turned ones."


def yarn(encoding: YaRN) -> Iterator[str]:
    usual = yarn_attention_factor(encoding.factor)
    amplitude, beside = f"{encoding.amplitude:.6g}", f"{encoding.amplitude / usual:.6g}"
    yield (
        f"attn_factor: transformers' attention_factor={amplitude} replaces 0.1 ln(factor) + 1 = {usual:.6g}, "
        f"llama.cpp's attn_factor={beside} multiplies it. Mixed up, scores are {usual**2:.4g} times too large or small."
    )
    if encoding.amplitude != usual:
        yield (
            "attn_factor: with YaRN, llama.cpp overwrites --yarn-attn-factor since pull request 17945 (so b9190); "
            f"the file's key is applied: --override-kv llama.rope.scaling.attn_factor=float:{beside}."
        )
    if (encoding.beta_fast, encoding.beta_slow) != (32.0, 1.0):
        yield "betas: llama.cpp (b9190) ignores a Llama file's yarn_beta_fast and yarn_beta_slow; give them as options."
    yield (
        "yarn: every engine has the ramp over the pair index, the paper over the number of turns (up to 67 % apart); "
        "without original_max_position_embeddings transformers takes the extended length, which shifts the ramp."
    )


def ntk(dim: int, base: float, alpha: float) -> Iterator[str]:
    """The exponent that circulates, and the base that text-generation-webui builds in."""
    other = 64 if dim == 128 else 128
    right, elsewhere = (ntk_base(d, base=base, alpha=alpha) for d in (dim, other))
    yield (
        f"ntk: the exponent is d/(d-2), and 64/63 for a head_dim of 128 only: the base is {right:.2f} for {dim} turned "
        f"dimensions, {elsewhere:.2f} for {other}."
    )
    if (dim, base) != (128, 10000.0):
        yield "ntk: text-generation-webui has 64/63 and base 10000 built in for any model, so rope_freq_base is off."
    yield "ntk: vLLM's rope type 'ntk' has another exponent, and its 'dynamic' with alpha is this static base."


def too_long(setting: Setting) -> Iterator[str]:
    """A context beyond what the scaling was made for."""
    encoding, length = setting.encoding, setting.context_length
    if isinstance(encoding, YaRN | LongRoPE) and length is not None:
        reach = encoding.factor * encoding.original_length
        if length > reach:
            made_for = f"{digits(encoding.factor)} × {encoding.original_length} = {digits(reach)}"
            yield f"context: {length} tokens are more than the scaling was made for, {made_for}."
