"""Loss on held-out text, at several lengths and under several patterns, while training goes on.

    nll = sum_bt w_bt nll_bt / sum_bt w_bt,    perplexity = exp(nll)

over consecutive windows that do not overlap: each begins with no context, as in the tables of ALiBi and LEX.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from ropelab.attention.formula import Pattern
from ropelab.data.batch import Batch, split_rows
from ropelab.data.held_out import load_held_out
from ropelab.data.positions import PerDocument
from ropelab.models.family import Tree
from ropelab.training import step
from ropelab.training.distributed import local_rows, shard_batch
from ropelab.training.step import StepConfig

_TOKENS_PER_BATCH = 8192


class EvalSet(NamedTuple):
    """What one measurement reads: rows of `length`, `size` of them at a time.

    Attributes:
        pattern: to measure under; None for the one that is trained under.
        restarts: whether positions begin anew in each document; they are those of the window otherwise.
    """

    length: int
    pattern: Pattern | None
    rows: Batch
    size: int
    restarts: bool


def make_eval_sets(
    lengths: tuple[int, ...], patterns: tuple[Pattern | None, ...], tokens: int, mesh: Mesh, **source: Any
) -> list[EvalSet]:
    """The measurements of a run: every length under every pattern, on the same text.

    Args:
        source: `settings` and `tokenizer`, as `held_out` takes them.
    """
    shards = mesh.shape["data"] * mesh.shape["fsdp"]
    restarts = isinstance(source["settings"].positions, PerDocument)
    found = []
    for length in lengths:
        rows = load_held_out(length=length, tokens=tokens, block=max(lengths), **source)
        size = math.ceil(max(1, _TOKENS_PER_BATCH // length) / shards) * shards
        found += [EvalSet(length, pattern, rows, size, restarts) for pattern in patterns]
    return found


def evaluate(exam: EvalSet, recipe: StepConfig, trainable: Tree, frozen: Tree, mesh: Mesh) -> dict[str, Any]:
    """The row that `records` wants, but for the step."""
    wiring = recipe.wiring._replace(pattern=exam.pattern or recipe.wiring.pattern, remat=None)
    exam_recipe = recipe._replace(wiring=wiring, given=recipe.given._replace(positions=exam.restarts))
    nll = tokens = 0.0
    for batch in _batches(exam, mesh):
        sums = np.asarray(_row_sums(exam_recipe, trainable, frozen, batch), np.float64)
        nll, tokens = nll + float(np.sum(sums[0])), tokens + float(np.sum(sums[1]))
    mean = nll / tokens
    return {
        "pattern": repr(wiring.pattern),
        "length": exam.length,
        "nll": mean,
        "perplexity": math.exp(mean) if mean < 700 else math.inf,
        "tokens": int(tokens),
    }


def _batches(exam: EvalSet, mesh: Mesh) -> Iterator[Batch]:
    mine = local_rows(exam.size, mesh)
    for batch in split_rows(exam.rows, exam.size):
        local = Batch(*(part[mine.start : mine.stop] for part in batch))
        yield shard_batch(local, exam.size, mesh)


@partial(jax.jit, static_argnums=0)
def _row_sums(recipe: StepConfig, trainable: Tree, frozen: Tree, batch: Batch) -> Array:
    """float32[2, B]: of each row, the sum of w * nll and of w."""
    params = recipe.adaptation.join(trainable, frozen)
    nll_B = step.nll_by_row(recipe.wiring, params, batch, recipe.given, recipe.dtype)
    sums = jnp.stack([nll_B, jnp.sum(batch.weights, axis=1)])
    return lax.with_sharding_constraint(sums, P())  # whole on every process, which sums on in float64
