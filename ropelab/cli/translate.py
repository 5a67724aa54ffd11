"""Say a rope setting in every dialect, in words, and with a warning where engines disagree about it.

    python -m experiments.translate "--rope-freq-base 10000 --rope-freq-scale 0.5 -c 8192" --to=all
    python -m experiments.translate "alpha_value=2 compress_pos_emb=1" --base=10000 --to=llama.cpp
    python -m experiments.translate path/to/config.json --head_dim=64
    python -m experiments.translate "YaRN(base=1e4, factor=4, original_length=8192)" --to=hf

Read are options of llama.cpp, a config.json or a JSON object of transformers, metadata of a GGUF, settings of ExLlama
and text-generation-webui, keys of MaxText and ropelab's own specs. What a dialect cannot say is printed with the
reason. Exit code 0: translated. 2: bad input, or the one dialect that was asked for cannot say it.
"""

import sys
from collections.abc import Sequence

from absl import flags

from experiments import launch
from ropelab.checkpoints.knobs import DIALECTS, Setting, disagreements, read, write
from ropelab.checkpoints.knobs.setting import digits
from ropelab.checkpoints.knobs.translation import head_dim_of

HEAD_DIM = "Dimensions of one head; what the input says, or 128, if not given."


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; `argv` has the program's name first."""
    values = flags.FlagValues()
    flags.DEFINE_string("to", "all", f"all, or one of {', '.join(DIALECTS)}.", flag_values=values)
    flags.DEFINE_integer("head_dim", None, HEAD_DIM, 2, flag_values=values)
    flags.DEFINE_float("base", None, "The model's own base, where the input leaves it out.", flag_values=values)
    return launch.answer(translate, values, argv, known_only=True)  # an option of llama.cpp is a flag to no one else


def translate(values: flags.FlagValues, texts: list[str], command: str) -> int:
    if not texts:
        raise ValueError('nothing to translate; give a setting, as "--rope-freq-scale 0.5 -c 8192"')
    text = " ".join(texts)
    try:
        head_dim = values.head_dim or head_dim_of(text) or 128
        lines = translated(text, values.to, head_dim, values.base)
    except ValueError as error:
        raise ValueError(str(error).replace("give head_dim=", "give --head_dim=")) from None
    print("\n".join(lines))
    return 0


def translated(text: str, to: str, head_dim: int, base: float | None) -> list[str]:
    """All that is printed.

    Raises:
        ValueError: for bad input, and if the one dialect that is asked for cannot say it.
    """
    dialect, setting = read(text, head_dim=head_dim, base=base)
    if to != "all":
        blocks = {to: write(setting, to, head_dim=head_dim, base=base)}
    else:
        blocks = {name: attempt(setting, name, head_dim, base) for name in DIALECTS}
    notes = disagreements(setting, head_dim=head_dim, base=base)
    own = "" if base is None else f" and a base of {digits(base)}"
    lines = [f"read as {dialect}, for a head_dim of {head_dim}{own}"]
    lines += [line for name, block in blocks.items() for line in ("", name, f"    {block}")]
    return lines + (["", "warnings", *(f"    {note}" for note in notes)] if notes else [])


def attempt(setting: Setting, dialect: str, head_dim: int, base: float | None) -> str:
    """A setting in a dialect, or why there is none."""
    try:
        return write(setting, dialect, head_dim=head_dim, base=base)
    except ValueError as error:
        return f"- {error}"


if __name__ == "__main__":
    sys.exit(main())
