"""ExLlama's and text-generation-webui's settings ⇄ an encoding.

    inv_freq_i = (base alpha_value^(d/(d-2)))^(-2i/d) / compress_pos_emb

The two combine, and both apply: position interpolation over NTK's base. text-generation-webui also has rope_freq_base,
the enlarged base itself, *instead of* alpha_value; it turns that into an alpha with a base of 10000 and the 64/63 of
d = 128 built in, which is another base for any other model.

Source: turboderp/exllamav2, config.py and model.py; oobabooga/text-generation-webui, modules/RoPE.py and shared.py.
"""

from typing import Any

from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.knobs.setting import Setting, cannot_say, check_rotary, digits, shortest, unknown_key, whole
from ropelab.encodings.base import Encoding
from ropelab.encodings.ntk import NTK, ntk_base
from ropelab.encodings.pi import PI
from ropelab.encodings.rope import RoPE

WHERE = "ExLlama settings"
ALIASES = {"n_ctx": "max_seq_len", "ctx_size": "max_seq_len"}  # text-generation-webui's other names
KEYS = {"alpha_value": float, "compress_pos_emb": float, "rope_freq_base": float, "max_seq_len": int}


def from_exllama(
    *,
    alpha_value: float = 1.0,
    compress_pos_emb: float = 1.0,
    head_dim: int,
    base: float | None = None,
    rope_freq_base: float = 0.0,
) -> Encoding:
    """The encoding of ExLlama's two knobs.

    Args:
        alpha_value, compress_pos_emb: 1 for none.
        base: the model's own; it may be left to the checkpoint unless both knobs are turned.
        rope_freq_base: text-generation-webui's, the enlarged base in place of alpha_value; 0 for none.

    Raises:
        CheckpointError: for a knob below 1, or two that exclude each other.
    """
    if rope_freq_base:
        if alpha_value != 1.0:
            raise CheckpointError(f"{WHERE}: rope_freq_base replaces alpha_value, and both are given; keep one")
        base = rope_freq_base
    try:
        stretched, squeezed = NTK(base=base, alpha=alpha_value), PI(base=base, factor=compress_pos_emb)
        if alpha_value == 1.0:
            found = RoPE(base=base) if compress_pos_emb == 1.0 else squeezed
        elif compress_pos_emb == 1.0:
            found = stretched
        else:
            enlarged = ntk_base(head_dim, base=stretched.require_base(), alpha=stretched.alpha)
            found = PI(base=enlarged, factor=squeezed.factor)
        found.rotated_dims(head_dim)
    except ValueError as error:
        raise CheckpointError(f"{WHERE}: {error} (alpha_value and compress_pos_emb are 1 for none)") from None
    return found


def read(text: str, *, head_dim: int, base: float | None = None) -> Setting:
    """The encoding and the context length of `alpha_value=2 compress_pos_emb=1 max_seq_len=8192`."""
    given: dict[str, Any] = {}
    for word in text.replace(",", " ").split():
        name, _, value = word.lstrip("-").partition("=")
        name = ALIASES.get(name, name)
        if name not in KEYS:
            raise unknown_key(WHERE, name, [*KEYS, *ALIASES])
        try:
            number = KEYS[name](value)
        except ValueError:
            raise CheckpointError(f"{WHERE}: {name}={value!r} is not a number") from None
        if name in given and given[name] != number:
            raise CheckpointError(f"{WHERE}: {name} is given twice, {given[name]} and {number}; keep one")
        given[name] = number
    length = whole(WHERE, "max_seq_len", given.pop("max_seq_len", None) or None)
    return Setting(from_exllama(**given, head_dim=head_dim, base=base), length)


def to_exllama(
    encoding: Encoding, *, head_dim: int, base: float | None = None, context_length: int | None = None
) -> dict[str, float]:
    """The knobs that mean an encoding, as keywords of `from_exllama`; `max_seq_len` with a context length.

    Args:
        base: the model's own, which ExLlama takes from its config.json; the encoding's if nothing is said. A larger
            base in the encoding becomes an alpha_value.

    Raises:
        CheckpointError: for what two knobs cannot say.
    """
    rotary = check_rotary("ExLlama", encoding)
    if not isinstance(rotary, RoPE | PI | NTK):
        why = "it has alpha_value (NTK) and compress_pos_emb (PI). It takes YaRN, llama3 and su from config.json alone"
        raise cannot_say("ExLlama", encoding, why)
    if rotary.rotated_dims(head_dim) != head_dim:
        raise cannot_say("ExLlama", encoding, "which part of a head turns is config.json's. Leave rotary_dim out")
    alpha = rotary.alpha if isinstance(rotary, NTK) else 1.0
    own = rotary.base if base is None else base
    if rotary.base is not None and own != rotary.base:
        assert own is not None
        wanted = ntk_base(head_dim, base=rotary.base, alpha=alpha)
        found = (wanted / own) ** ((head_dim - 2) / head_dim)
        alpha = shortest(found, lambda a: ntk_base(head_dim, base=own, alpha=a) == wanted)
        if alpha < 1:
            raise cannot_say("ExLlama", encoding, f"its base is below the model's own, {digits(own)}. Check base=")
    knobs = {"alpha_value": alpha, "compress_pos_emb": rotary.factor if isinstance(rotary, PI) else 1.0}
    return knobs if context_length is None else knobs | {"max_seq_len": context_length}
