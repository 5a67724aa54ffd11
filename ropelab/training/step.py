"""One step of training as a pure function: (state, frozen parameters, batch) → (state, what happened)."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from ropelab.data.batch import Batch
from ropelab.models.config import Wiring
from ropelab.models.family import Tree
from ropelab.training.adaptation import Adaptation
from ropelab.training.guard import Guard, Watch, acceptable, first_watch, watched
from ropelab.training.objective import Given, weighted_sum
from ropelab.training.optimizer import Optimizer, learning_rate, transformation


class Recipe(NamedTuple):
    """All that a step is compiled for.

    Attributes:
        steps: of the whole training, for the schedule.
        accumulate: parts that a batch is cut into, one in memory at a time.
        dtype: of the computation; parameters, moments and the loss are float32.
    """

    wiring: Wiring
    adaptation: Adaptation
    optimizer: Optimizer
    guard: Guard
    given: Given
    steps: int
    accumulate: int = 1
    dtype: str = "float32"


class State(NamedTuple):
    """What a step changes, and a checkpoint holds.

    Attributes:
        step: batches seen.
        trainable: the parameters that are trained; of an adapter, its own alone.
        moments: optax's state.
        watch: the guard's.
    """

    step: Array
    trainable: Tree
    moments: Any
    watch: Watch


class Happened(NamedTuple):
    """Of one step: the loss before it, the gradient's norm before it was clipped, how large the step was.

    Attributes:
        tokens: how many predictions the loss is of.
        taken: whether the parameters moved.
        skipped, in_a_row: batches left out, in all and since the last that was taken.
    """

    loss: Array
    norm: Array
    lr: Array
    tokens: Array
    taken: Array
    skipped: Array
    in_a_row: Array


def first_state(recipe: Recipe, trainable: Tree) -> State:
    """Before any step."""
    moments = transformation(recipe.optimizer, recipe.steps).init(trainable)
    return State(jnp.zeros((), jnp.int32), trainable, moments, first_watch())


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def train_step(recipe: Recipe, state: State, frozen: Tree, batch: Batch) -> tuple[State, Happened]:
    """The state after one batch. The state that is handed in is used up."""
    loss, gradient = loss_and_gradient(recipe, state.trainable, frozen, batch)
    norm = optax.tree_utils.tree_norm(gradient)
    tokens = jnp.sum(batch.weights > 0)
    good = acceptable(recipe.guard, state.watch, loss, norm) & (tokens > 0)
    rule = transformation(recipe.optimizer, recipe.steps)

    updates, moments = rule.update(gradient, state.moments, state.trainable)
    trainable = jax.tree.map(jnp.add, state.trainable, updates)

    def if_good(new: Array, old: Array) -> Array:
        return jnp.where(good, new, old)  # in the loop that makes the new value: a cond would copy the old ones

    trainable = jax.tree.map(if_good, trainable, state.trainable)
    moments = jax.tree.map(if_good, moments, state.moments)
    watch = watched(state.watch, good, norm)
    lr = learning_rate(recipe.optimizer, recipe.steps)(state.watch.taken)
    happened = Happened(loss, norm, jnp.asarray(lr, jnp.float32), tokens, good, watch.skipped, watch.in_a_row)
    return State(state.step + 1, trainable, moments, watch), happened


def loss_and_gradient(recipe: Recipe, trainable: Tree, frozen: Tree, batch: Batch) -> tuple[Array, Tree]:
    """The loss of a batch and its gradient; the same, but for rounding, in however many parts."""
    weight = jnp.sum(batch.weights)
    total = jnp.where(weight > 0, weight, 1.0)

    def share(trainable: Tree, part: Batch) -> Array:
        params = recipe.adaptation.join(trainable, frozen)
        return weighted_sum(recipe.wiring, params, part, recipe.given, recipe.dtype) / total

    return in_parts(jax.value_and_grad(share), recipe.accumulate, trainable, batch)


def in_parts(
    of_part: Callable[[Tree, Batch], tuple[Array, Tree]], parts: int, trainable: Tree, batch: Batch
) -> tuple[Array, Tree]:
    """The sum of `of_part` over parts of the batch, one after another."""
    if parts == 1:
        return of_part(trainable, batch)
    # Every parts-th row: each part then lies over all devices as the batch does.
    cut = jax.tree.map(lambda x: jnp.swapaxes(x.reshape(-1, parts, *x.shape[1:]), 0, 1), batch)

    def add(total: Any, part: Batch) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, of_part(trainable, part)), None

    zero = (jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, trainable))
    return lax.scan(add, zero, cut)[0]
