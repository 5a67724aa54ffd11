"""Export a training as a Hugging Face directory, or as a PEFT adapter.

    python -m experiments.export --run=runs/x --to=model
    python -m experiments.export --run=runs/x --to=adapter --adapter --base=org/name

The directory contains the model with a trained adapter merged, and its encoding and context length in config.json:
transformers loads it and computes the same logits. --adapter writes only the low-rank terms. PEFT does not change
encodings, so an adapter that was trained under another encoding needs a base that was exported under it:

    python -m experiments.export --run=smollm2 --encoding="YaRN(factor=2.0, original_length=8192)" --to=base
    python -m experiments.export --run=runs/x --to=adapter --adapter --base=base
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

import ropelab
from ropelab.checkpoints.peft import save_adapter
from ropelab.cli import launching
from ropelab.models.finite import check_finite_parameters
from ropelab.training.lora import LoRA
from ropelab.training.run_folder import is_run
from ropelab.training.state import LoadedRun, open_run

HELP = {
    "run": "Folder of a training; without --adapter, anything that ropelab.load accepts.",
    "to": "Directory to create.",
    "encoding": "Spec of another encoding to export under.",
    "pattern": "Spec of the attention pattern to export under; by default the pattern of the training.",
    "context_length": "Context length in tokens; by default the trained length as the encoding extends it.",
    "dtype": "Type of the weights: float32, bfloat16 or float16.",
    "adapter": "Write only the low-rank terms, under PEFT's names.",
    "base": "Hub id or directory of the adapter's base model.",
}
WHOLE = ("encoding", "pattern", "context_length", "dtype")  # flags of a full model


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    for name in ("run", "to", "encoding", "pattern", "dtype", "base"):
        flags.DEFINE_string(name, None, HELP[name], flag_values=values)
    flags.DEFINE_integer("context_length", None, HELP["context_length"], flag_values=values, lower_bound=1)
    flags.DEFINE_bool("adapter", False, HELP["adapter"], flag_values=values)
    launching.define_allow_nonfinite(values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    del command
    launching.refuse_words(words, "the run is given as --run=...")
    for name in ("run", "to"):
        if not values[name].value:
            raise ValueError(f"--{name} is missing; give --run=runs/x --to=folder")
    print(f"written to {(_export_adapter if values.adapter else _export_model)(values)}")
    return 0


def _export_model(values: flags.FlagValues) -> Path:
    """Export the model with its adapter merged."""
    if values.base:
        raise ValueError("--base is the base model of an adapter; add --adapter, or leave it out")
    lab = ropelab.load(values.run, dtype=values.dtype or "float32").swap(values.encoding, values.pattern)
    return lab.export(values.to, context_length=values.context_length)


def _export_adapter(values: flags.FlagValues) -> Path:
    """Export only the low-rank terms."""
    for name in WHOLE:
        if values[name].value is not None:
            raise ValueError(f"--{name} is not allowed with --adapter; leave one of them out")
    if not is_run(values.run):
        raise ValueError(f"{values.run} is not the folder of a training, so there is no adapter; leave out --adapter")
    run = open_run(values.run)
    terms = run.plan.adaptation
    if not isinstance(terms, LoRA):
        raise ValueError(f"{values.run} trained with {terms!r}, which is not an adapter; leave out --adapter")
    check_finite_parameters(run.trainable, f"the adapter of {values.run}")
    return save_adapter(
        values.to, run.trainable, terms, run.wiring.config, run.wiring.encoding, base=values.base or _adapter_base(run)
    )


def _adapter_base(run: LoadedRun) -> str:
    """Return the base model of the adapter, if PEFT can use it unchanged.

    Raises:
        ValueError: otherwise, with the command that exports a base for PEFT.
    """
    model, encoding = run.plan.model, run.wiring.encoding
    if run.original is None:
        raise ValueError("the base of this adapter is randomly initialised and was not saved; leave out --adapter")
    found = model != "smollm2" and not model.endswith(".gguf") and not is_run(model)
    if found and run.original == encoding:
        return model
    why = f"PEFT cannot put {encoding!r} into {model}" if found else f"PEFT does not find {model}"
    remedy = f'--run={model} --encoding="{encoding!r}" --to=base, then name it: --base=base'
    raise ValueError(f"--base is missing, and {why}; export the base first with {remedy}")
