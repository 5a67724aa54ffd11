"""Write what a training has made as others read it: a Hugging Face directory, or an adapter of PEFT's.

    python -m experiments.export --run=runs/x --to=model
    python -m experiments.export --run=runs/x --to=adapter --adapter --base=org/name

The directory has the model, an adapter merged into it, with its encoding and its context length in config.json:
transformers loads it and gives the same logits. The adapter is the low-rank terms apart. PEFT changes no encoding, so
one that was trained under another encoding than its base's stands on a base that was exported under it:

    python -m experiments.export --run=smollm2 --encoding="YaRN(factor=2.0, original_length=8192)" --to=base
    python -m experiments.export --run=runs/x --to=adapter --adapter --base=base
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

import ropelab
from experiments import launch
from ropelab.checkpoints.adapters import save_adapter
from ropelab.models.finite import check_finite_parameters
from ropelab.training.adaptation import LoRA
from ropelab.training.folder import is_run
from ropelab.training.runs import Trained, open_run

HELP = {
    "run": "Folder of a training; without --adapter anything that ropelab.load takes.",
    "to": "The directory to write, which is not there yet.",
    "encoding": "Spec of another encoding to export under.",
    "pattern": "Spec of the attention that the model is to be used with; the one trained under if not given.",
    "context_length": "Tokens of context that the model is meant for; as its encoding extends it if not given.",
    "dtype": "Of the weights: float32, bfloat16 or float16.",
    "adapter": "Write the low-rank terms apart, under PEFT's names.",
    "base": "The hub id or directory that the adapter stands on.",
}
WHOLE = ("encoding", "pattern", "context_length", "dtype")  # what only a whole model has


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; `argv` has the program's name first."""
    values = flags.FlagValues()
    for name in ("run", "to", "encoding", "pattern", "dtype", "base"):
        flags.DEFINE_string(name, None, HELP[name], flag_values=values)
    flags.DEFINE_integer("context_length", None, HELP["context_length"], flag_values=values, lower_bound=1)
    flags.DEFINE_bool("adapter", False, HELP["adapter"], flag_values=values)
    launch.define_allow_nonfinite(values)
    return launch.answer(export, values, argv)


def export(values: flags.FlagValues, words: list[str], command: str) -> int:
    del command
    launch.no_words(words, "the run is given as --run=...")
    for name in ("run", "to"):
        if not values[name].value:
            raise ValueError(f"--{name} is missing; give --run=runs/x --to=folder")
    print(f"written to {(adapter if values.adapter else whole)(values)}")
    return 0


def whole(values: flags.FlagValues) -> Path:
    """The model, its adapter merged."""
    if values.base:
        raise ValueError("--base is what an adapter stands on; add --adapter, or leave it out")
    lab = ropelab.load(values.run, dtype=values.dtype or "float32").swap(values.encoding, values.pattern)
    return lab.export(values.to, context_length=values.context_length)


def adapter(values: flags.FlagValues) -> Path:
    """The low-rank terms apart."""
    for name in WHOLE:
        if values[name].value is not None:
            raise ValueError(f"--{name} is for a whole model, and an adapter has none; leave it out, or --adapter")
    if not is_run(values.run):
        raise ValueError(f"{values.run} is no folder of a training, so there is no adapter; leave out --adapter")
    run = open_run(values.run)
    terms = run.plan.adaptation
    if not isinstance(terms, LoRA):
        raise ValueError(f"{values.run} trained with {terms!r}, which is no adapter; leave out --adapter")
    check_finite_parameters(run.trainable, f"the adapter of {values.run}")
    return save_adapter(
        values.to, run.trainable, terms, run.wiring.config, run.wiring.encoding, base=values.base or base_of(run)
    )


def base_of(run: Trained) -> str:
    """What the adapter stands on, if PEFT can have it as it is.

    Raises:
        ValueError: saying how to export a base that PEFT finds.
    """
    model, encoding = run.plan.model, run.wiring.encoding
    if run.original is None:
        raise ValueError("the adapter stands on random parameters that nobody else has; leave out --adapter")
    found = model != "smollm2" and not model.endswith(".gguf") and not is_run(model)
    if found and run.original == encoding:
        return model
    why = f"PEFT cannot put {encoding!r} into {model}" if found else f"PEFT does not find {model}"
    remedy = f'--run={model} --encoding="{encoding!r}" --to=base, then name it: --base=base'
    raise ValueError(f"--base is missing, and {why}; export the base first with {remedy}")


if __name__ == "__main__":
    sys.exit(main())
