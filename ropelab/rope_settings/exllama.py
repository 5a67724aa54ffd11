"""Settings of ExLlama and text-generation-webui.

    inv_freq_i = (base alpha_value^(d/(d-2)))^(-2i/d) / compress_pos_emb

Both can be combined: position interpolation with NTK's base. text-generation-webui also has rope_freq_base, the
enlarged base itself, *instead of* alpha_value; it converts that to an alpha with base 10000 and the exponent 64/63 of
d = 128 built in, which gives another base for all other models.

Source: turboderp/exllamav2, config.py and model.py; oobabooga/text-generation-webui, modules/RoPE.py and shared.py.
"""

from typing import Any

from ropelab.encodings.base import Encoding
from ropelab.encodings.ntk import NTK, ntk_base
from ropelab.encodings.pi import PI
from ropelab.encodings.rope import RoPE
from ropelab.errors import CheckpointError
from ropelab.rope_settings.base import (
    Setting,
    check_count,
    check_rotary,
    find_shortest,
    format_number,
    unknown_key,
    unsupported,
)

_WHERE = "ExLlama settings"
_ALIASES = {"n_ctx": "max_seq_len", "ctx_size": "max_seq_len"}  # text-generation-webui's other names
_KEYS = {"alpha_value": float, "compress_pos_emb": float, "rope_freq_base": float, "max_seq_len": int}


def from_exllama(
    *,
    alpha_value: float = 1.0,
    compress_pos_emb: float = 1.0,
    head_dim: int,
    base: float | None = None,
    rope_freq_base: float = 0.0,
) -> Encoding:
    """Return the encoding of ExLlama's settings.

    Args:
        alpha_value, compress_pos_emb: 1 means off.
        base: the model's base. It is needed if both settings are on; otherwise None inherits it from the checkpoint.
        rope_freq_base: the enlarged base of text-generation-webui, instead of alpha_value; 0 means off.

    Raises:
        CheckpointError: for a value below 1, or settings that exclude each other.
    """
    if rope_freq_base:
        if alpha_value != 1.0:
            raise CheckpointError(f"{_WHERE}: rope_freq_base replaces alpha_value; set only one of them")
        base = rope_freq_base
    try:
        ntk, pi = NTK(base=base, alpha=alpha_value), PI(base=base, factor=compress_pos_emb)
        if alpha_value == 1.0:
            encoding = RoPE(base=base) if compress_pos_emb == 1.0 else pi
        elif compress_pos_emb == 1.0:
            encoding = ntk
        else:
            enlarged = ntk_base(head_dim, base=ntk.require_base(), alpha=ntk.alpha)
            encoding = PI(base=enlarged, factor=pi.factor)
        encoding.rotated_dims(head_dim)
    except ValueError as error:
        raise CheckpointError(f"{_WHERE}: {error} (alpha_value=1 and compress_pos_emb=1 mean off)") from None
    return encoding


def read(text: str, *, head_dim: int, base: float | None = None) -> Setting:
    """Read the encoding and the context length of a text like `alpha_value=2 compress_pos_emb=1 max_seq_len=8192`."""
    given: dict[str, Any] = {}
    for word in text.replace(",", " ").split():
        name, _, value = word.lstrip("-").partition("=")
        name = _ALIASES.get(name, name)
        if name not in _KEYS:
            raise unknown_key(_WHERE, name, [*_KEYS, *_ALIASES])
        try:
            number = _KEYS[name](value)
        except ValueError:
            raise CheckpointError(f"{_WHERE}: {name}={value!r} is not a number") from None
        if name in given and given[name] != number:
            raise CheckpointError(f"{_WHERE}: {name} is given twice, {given[name]} and {number}; keep one")
        given[name] = number
    length = check_count(_WHERE, "max_seq_len", given.pop("max_seq_len", None) or None)
    return Setting(from_exllama(**given, head_dim=head_dim, base=base), length)


def to_exllama(
    encoding: Encoding, *, head_dim: int, base: float | None = None, context_length: int | None = None
) -> dict[str, float]:
    """Return the settings for an encoding, as keyword arguments of `from_exllama`, and `max_seq_len`.

    Args:
        base: the model's base, which ExLlama reads from its config.json; the encoding's base by default. A larger base
            in the encoding becomes an alpha_value.
        context_length: written as `max_seq_len`.

    Raises:
        CheckpointError: if the settings cannot express the encoding.
    """
    rotary = check_rotary("ExLlama", encoding)
    if not isinstance(rotary, RoPE | PI | NTK):
        why = "it has alpha_value (NTK) and compress_pos_emb (PI). It reads YaRN, llama3 and su only from config.json"
        raise unsupported("ExLlama", encoding, why)
    if rotary.rotated_dims(head_dim) != head_dim:
        raise unsupported("ExLlama", encoding, "config.json sets the rotated part of a head. Omit rotary_dim")
    alpha = rotary.alpha if isinstance(rotary, NTK) else 1.0
    model_base = rotary.base if base is None else base
    if rotary.base is not None and model_base != rotary.base:
        assert model_base is not None
        target = ntk_base(head_dim, base=rotary.base, alpha=alpha)
        estimate = (target / model_base) ** ((head_dim - 2) / head_dim)
        alpha = find_shortest(estimate, lambda a: ntk_base(head_dim, base=model_base, alpha=a) == target)
        if alpha < 1:
            raise unsupported(
                "ExLlama", encoding, f"its base is below the model's base, {format_number(model_base)}. Check base="
            )
    settings = {"alpha_value": alpha, "compress_pos_emb": rotary.factor if isinstance(rotary, PI) else 1.0}
    return settings if context_length is None else settings | {"max_seq_len": context_length}
