"""Memory and arithmetic of a compiled training step: full fine-tuning, LoRA and LongLoRA.

    python -m experiments.papers.longlora.costs --model=smollm2 --lengths=4096,8192,16384 --workdir=runs/costs

Three ways, as in figure 1 of arXiv 2309.12307: all parameters; LoRA (rank 8, q, k, v, o) under full attention; and
LongLoRA, which trains embeddings and norms as well and attends in shifted groups of a quarter of the length. Memory is
XLA's own account of the compiled step (parameters, moments and temporaries); arithmetic is counted from the pattern, 4
flops a frozen multiplying parameter and token, 6 a trained one, attention three times its forward pass. Nothing is run.
Written to the workdir: records.jsonl and .csv. Exit code 0: done. 2: bad input.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags
from tqdm import tqdm

from ropelab.attention.patterns import Causal, Pattern, ShiftedSparse
from ropelab.cli import launching
from ropelab.data.batch import Batch
from ropelab.evaluation.record import Protocol, Record
from ropelab.evaluation.store import describe_versions
from ropelab.lab import load
from ropelab.reporting import files
from ropelab.training import flops
from ropelab.training.adaptation import Adaptation, Full, LoRA
from ropelab.training.guard import Guard
from ropelab.training.objective import Given
from ropelab.training.optimizer import Optimizer
from ropelab.training.step import Recipe, first_state, train_step

HELP = {
    "model": "smollm2, a .gguf file, a Hugging Face directory or hub id, or the folder of a training.",
    "lengths": "Tokens of a row; a step is one row.",
    "remat": "Activations to recompute in the backward pass.",
    "workdir": "Folder for everything that the command writes.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    for name, default in (("model", "smollm2"), ("workdir", None)):
        flags.DEFINE_string(name, default, HELP[name], flag_values=values)
    flags.DEFINE_enum("remat", "layers", ["layers", "nothing"], HELP["remat"], flag_values=values)
    flags.DEFINE_list("lengths", ["4096", "8192", "16384"], HELP["lengths"], flag_values=values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    workdir = launching.workdir_of(values, words)
    lengths = launching.parse_lengths(values.lengths)
    if lengths[0] % 8:
        raise ValueError(f"--lengths={lengths[0]} must be a multiple of 8, for groups of a quarter that are halved")
    lab = load(values.model)
    numbers = measured(lab.model, lab.full_name, lengths, values.remat)
    records = list(tqdm(numbers, total=6 * len(lengths), unit="number"))
    files.write_records(workdir / "records.jsonl", records)
    files.write_json(workdir / "settings.json", {"command": command})
    for record in records:
        print(f"{record.length:6d} tokens, {record.variant:>16}, {record.metric}: {record.value:.3f}")
    return 0


def ways(length: int) -> dict[str, tuple[Adaptation, Pattern]]:
    return {
        "full fine-tuning": (Full(), Causal()),
        "LoRA": (LoRA(), Causal()),
        "LongLoRA": (LoRA(also=("embedding", "norms")), ShiftedSparse(group=length // 4)),
    }


def measured(model: Any, name: str, lengths: Sequence[int], remat: str) -> Iterator[Record]:
    """Yield the records of every way at every length."""
    method = f"one row per step, remat {remat}, compiled for {jax.default_backend()}"
    protocol = Protocol(model=name, method=method, compute="float32", versions=describe_versions())
    for length in lengths:
        for arm, (adaptation, pattern) in ways(length).items():
            gib, gflop = compiled(model, adaptation, pattern, length, remat)
            for metric, value in (("gib", gib), ("gflop", gflop)):
                yield Record(
                    model=name, variant=arm, pattern=repr(pattern), evaluation="costs", metric=metric, length=length,
                    value=value, count=1, protocol=protocol,
                )  # fmt: skip


def compiled(model: Any, adaptation: Adaptation, pattern: Pattern, length: int, remat: str) -> tuple[float, float]:
    """`(GiB, GFLOP)` of one step on one row."""
    wiring = model.wiring._replace(pattern=pattern, remat=remat)
    recipe = Recipe(wiring, adaptation, Optimizer(lr=2e-5), Guard(), Given(), 1000)
    sizes = jax.eval_shape(lambda params: adaptation.split(jax.random.key(0), params), model.params)
    state = jax.eval_shape(lambda trainable: first_state(recipe, trainable), sizes[0])
    shape = (1, length)
    ids, reals = jax.ShapeDtypeStruct(shape, jnp.int32), jax.ShapeDtypeStruct(shape, jnp.float32)
    step = train_step.lower(recipe, state, sizes[1], Batch(ids, ids, reals, ids, ids)).compile()  # type: ignore
    account: Any = step.memory_analysis()
    memory = account.argument_size_in_bytes + account.temp_size_in_bytes
    return memory / 2**30, flops.per_token(wiring, length, frozen=adaptation != Full()) * length / 1e9


if __name__ == "__main__":
    sys.exit(main())
