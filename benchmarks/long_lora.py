"""What LongLoRA saves: the memory of a compiled step and its arithmetic, for SmolLM2 at 4k to 16k tokens.

    python -m benchmarks.long_lora --lengths=4096,8192,16384

Three ways, as in figure 1 of arXiv 2309.12307: all parameters; LoRA (rank 8, q, k, v, o) under full attention; and
LongLoRA,
which trains embeddings and norms as well and attends in shifted groups of a quarter of the length. Memory is XLA's own
account of the compiled step (parameters, moments and temporaries); arithmetic is counted from the pattern, 4 flops a
frozen multiplying parameter and token, 6 a trained one, attention three times its forward pass. Nothing is run.
"""

import argparse
import sys
from typing import Any

import jax
import jax.numpy as jnp

import ropelab
from ropelab.attention.patterns import Causal, Pattern, ShiftedSparse
from ropelab.data.batch import Batch
from ropelab.training import flops
from ropelab.training.adaptation import Adaptation, Full, LoRA
from ropelab.training.guard import Guard
from ropelab.training.objective import Given
from ropelab.training.optimizer import Optimizer
from ropelab.training.step import Recipe, first_state, train_step


def ways(length: int) -> dict[str, tuple[Adaptation, Pattern]]:
    return {
        "full fine-tuning": (Full(), Causal()),
        "LoRA": (LoRA(), Causal()),
        "LongLoRA": (LoRA(also=("embedding", "norms")), ShiftedSparse(group=length // 4)),
    }


def compiled(model: Any, adaptation: Adaptation, pattern: Pattern, length: int, remat: str) -> tuple[float, float]:
    """`(GiB, GFLOP)` of one step on one row."""
    wiring = model.wiring._replace(pattern=pattern, remat=remat)
    recipe = Recipe(wiring, adaptation, Optimizer(lr=2e-5), Guard(), Given(), 1000)
    sizes = jax.eval_shape(lambda params: adaptation.split(jax.random.key(0), params), model.params)
    state = jax.eval_shape(lambda trainable: first_state(recipe, trainable), sizes[0])
    shape = (1, length)
    ids, reals = jax.ShapeDtypeStruct(shape, jnp.int32), jax.ShapeDtypeStruct(shape, jnp.float32)
    step = train_step.lower(recipe, state, sizes[1], Batch(ids, ids, reals, ids, ids)).compile()  # type: ignore
    account = step.memory_analysis()
    memory = account.argument_size_in_bytes + account.temp_size_in_bytes
    return memory / 2**30, flops.per_token(wiring, length, frozen=adaptation != Full()) * length / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default="4096,8192,16384")
    parser.add_argument("--remat", default="layers")
    args = parser.parse_args()
    model = ropelab.load("smollm2").model
    for length in map(int, args.lengths.split(",")):
        for name, (adaptation, pattern) in ways(length).items():
            memory, work = compiled(model, adaptation, pattern, length, args.remat)
            print(f"{length:6d} tokens, {name:>16}: {memory:6.2f} GiB, {work:8.0f} GFLOP", flush=True)


if __name__ == "__main__":
    sys.exit(main())
