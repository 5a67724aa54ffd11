"""Translate a RoPE setting into every dialect and into a sentence, with warnings where engines disagree.

    python -m experiments.translate "--rope-freq-base 10000 --rope-freq-scale 0.5 -c 8192" --to=all
    python -m experiments.translate "alpha_value=2 compress_pos_emb=1" --base=10000 --to=llama.cpp
    python -m experiments.translate path/to/config.json --head_dim=64
    python -m experiments.translate "YaRN(base=1e4, factor=4, original_length=8192)" --to=hf

Input may be options of llama.cpp, a config.json or JSON object of transformers, metadata of a GGUF, settings of ExLlama
and text-generation-webui, keys of MaxText, or a spec of ropelab. A dialect that cannot express the setting is listed
with the reason. Exit code 0: translated. 2: bad input, or the requested dialect cannot express the setting.
"""

from collections.abc import Sequence

from absl import flags

from ropelab.cli import launching
from ropelab.rope_settings import DIALECTS, Setting, find_disagreements, read, write
from ropelab.rope_settings.base import format_number
from ropelab.rope_settings.translation import find_head_dim

HEAD_DIM = "Dimensions of a head; by default those of the input, or 128."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    flags.DEFINE_string("to", "all", f"all, or one of {', '.join(DIALECTS)}.", flag_values=values)
    flags.DEFINE_integer("head_dim", None, HEAD_DIM, 2, flag_values=values)
    flags.DEFINE_float("base", None, "Base of the model, if the input leaves it out.", flag_values=values)
    return launching.run_with_flags(run, values, argv, known_only=True)  # options of llama.cpp are unknown flags here


def run(values: flags.FlagValues, texts: list[str], command: str) -> int:
    if not texts:
        raise ValueError('nothing to translate; give a setting, as "--rope-freq-scale 0.5 -c 8192"')
    text = " ".join(texts)
    try:
        head_dim = values.head_dim or find_head_dim(text) or 128
        lines = _translate(text, values.to, head_dim, values.base)
    except ValueError as error:
        raise ValueError(str(error).replace("use head_dim=", "use --head_dim=")) from None
    print("\n".join(lines))
    return 0


def _translate(text: str, to: str, head_dim: int, base: float | None) -> list[str]:
    """Return all lines of the output.

    Raises:
        ValueError: for bad input, and if the requested dialect cannot express the setting.
    """
    dialect, setting = read(text, head_dim=head_dim, base=base)
    if to != "all":
        blocks = {to: write(setting, to, head_dim=head_dim, base=base)}
    else:
        blocks = {name: _try_write(setting, name, head_dim, base) for name in DIALECTS}
    notes = find_disagreements(setting, head_dim=head_dim, base=base)
    own = "" if base is None else f" and a base of {format_number(base)}"
    lines = [f"read as {dialect}, for a head_dim of {head_dim}{own}"]
    lines += [line for name, block in blocks.items() for line in ("", name, f"    {block}")]
    return lines + (["", "warnings", *(f"    {note}" for note in notes)] if notes else [])


def _try_write(setting: Setting, dialect: str, head_dim: int, base: float | None) -> str:
    """Return a setting in a dialect, or the reason why it cannot be expressed."""
    try:
        return write(setting, dialect, head_dim=head_dim, base=base)
    except ValueError as error:
        return f"- {error}"
