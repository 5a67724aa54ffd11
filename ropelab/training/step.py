"""One step of training as a pure function: (state, frozen parameters, batch) → (state, what happened)."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from ropelab.data.batch import Batch
from ropelab.models import head, loss
from ropelab.models.compiled import placed
from ropelab.models.config import Wiring
from ropelab.models.family import Tree
from ropelab.models.sequence import whole_text
from ropelab.spec import Spec, at_least, require, spec
from ropelab.training.lora import Adaptation
from ropelab.training.optimizer import Optimizer, make_optimizer, make_schedule

# What training minimises: the weighted mean of -log p(target | tokens before it).
#
#     loss = sum_bt w_bt nll_bt / sum_bt w_bt
#
# The sum is float32 whatever the model computes in, and [T, V] is never held (`models.loss`, `models.head`).


class BatchFields(NamedTuple):
    """What of a batch the model is told, besides tokens: the rest is in order, in one document.

    Consecutive positions that are not given are known when the program is compiled, and a pattern may then arrange
    its tokens.
    """

    positions: bool = False
    segments: bool = False


def weighted_nll(wiring: Wiring, params: Tree, batch: Batch, given: BatchFields, dtype: str) -> Array:
    """sum_bt w_bt nll_bt, what training differentiates."""
    rounded, x_BTD = _final_states(wiring, params, batch, given, dtype)
    return loss.weighted_sum(rounded, x_BTD, jnp.asarray(batch.targets), jnp.asarray(batch.weights))


def nll_by_row(wiring: Wiring, params: Tree, batch: Batch, given: BatchFields, dtype: str) -> Array:
    """float32[B]: sum_t w_bt nll_bt of each row, what is measured."""
    rounded, x_BTD = _final_states(wiring, params, batch, given, dtype)
    nll_BT = head.negative_log_likelihood(rounded, x_BTD, jnp.asarray(batch.targets))
    return jnp.sum(nll_BT * batch.weights, axis=1)


def _final_states(wiring: Wiring, params: Tree, batch: Batch, given: BatchFields, dtype: str) -> tuple[Tree, Array]:
    """The parameters rounded to `dtype`, but for an encoding's tables, and x_BTD under them."""
    tokens_BT, _, _, pos_BT, segments_BT = (jnp.asarray(part) for part in batch)
    where = placed(tokens_BT, pos_BT if given.positions else None, segments_BT if given.segments else None, None)
    rounded = cast_params(params, dtype)
    return rounded, whole_text(wiring, rounded, tokens_BT, where)


def cast_params(params: Tree, dtype: str) -> Tree:
    """The parameters as the forward pass takes them."""
    wanted = jnp.dtype(dtype)
    return {
        name: value if name == "encoding" else jax.tree.map(lambda x: x.astype(wanted), value)
        for name, value in params.items()
    }


# Batches that must not move the parameters: those whose loss or gradient is not finite, of padding alone, and spikes.
#
#     spike:  |g| > factor * m,    m ← m + (|g| - m) / min(n, 50)   over the n batches that were taken
#
# A batch that is left out changes no parameter, no moment and no count of the optimiser: the state is the one of a run
# that never saw it.

NORM_WINDOW = 50  # batches that the mean norm remembers, and that pass before a spike is one


@spec
class SkipConfig(Spec):
    """When to leave out a batch, and when to give up.

    Attributes:
        spike: gradients this many times the running mean of their norm are left out; 0 takes all that are finite.
        stop_after: batches left out in a row that end the training.
    """

    spike: float = 0.0
    stop_after: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "stop_after")
        require(self.spike == 0 or self.spike > 1, self, f"spike={self.spike} must be 0 (off) or more than 1")


class SkipState(NamedTuple):
    """What the guard has seen.

    Attributes:
        taken, skipped: batches so far.
        in_a_row: batches left out since the last that was taken.
        norm: running mean of the gradient's norm over those taken.
    """

    taken: Array
    skipped: Array
    in_a_row: Array
    norm: Array


def _init_skip_state() -> SkipState:
    # Each an array of its own: a step is handed them to use up.
    taken, skipped, in_a_row = (jnp.zeros((), jnp.int32) for _ in range(3))
    return SkipState(taken, skipped, in_a_row, jnp.zeros((), jnp.float32))


def _is_acceptable(guard: SkipConfig, watch: SkipState, loss: Array, norm: Array) -> Array:
    """Whether this batch is taken."""
    finite = jnp.isfinite(loss) & jnp.isfinite(norm)
    if not guard.spike:
        return finite
    return finite & ((watch.taken < NORM_WINDOW) | (norm <= guard.spike * watch.norm))


def _update_skip_state(watch: SkipState, good: Array, norm: Array) -> SkipState:
    """The watch after a batch."""
    taken = watch.taken + good
    share = 1.0 / jnp.clip(taken, 1, NORM_WINDOW).astype(jnp.float32)
    mean = jnp.where(good, watch.norm + (norm - watch.norm) * share, watch.norm)
    return SkipState(taken, watch.skipped + ~good, jnp.where(good, 0, watch.in_a_row + 1), mean)


class StepConfig(NamedTuple):
    """All that a step is compiled for.

    Attributes:
        steps: of the whole training, for the schedule.
        accumulate: parts that a batch is cut into, one in memory at a time.
        dtype: of the computation; parameters, moments and the loss are float32.
    """

    wiring: Wiring
    adaptation: Adaptation
    optimizer: Optimizer
    guard: SkipConfig
    given: BatchFields
    steps: int
    accumulate: int = 1
    dtype: str = "float32"


class TrainState(NamedTuple):
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
    watch: SkipState


class StepMetrics(NamedTuple):
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


def init_state(recipe: StepConfig, trainable: Tree) -> TrainState:
    """Before any step."""
    moments = make_optimizer(recipe.optimizer, recipe.steps).init(trainable)
    return TrainState(jnp.zeros((), jnp.int32), trainable, moments, _init_skip_state())


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def train_step(recipe: StepConfig, state: TrainState, frozen: Tree, batch: Batch) -> tuple[TrainState, StepMetrics]:
    """The state after one batch. The state that is handed in is used up."""
    loss, gradient = loss_and_gradient(recipe, state.trainable, frozen, batch)
    norm = optax.tree_utils.tree_norm(gradient)
    tokens = jnp.sum(batch.weights > 0)
    good = _is_acceptable(recipe.guard, state.watch, loss, norm) & (tokens > 0)
    rule = make_optimizer(recipe.optimizer, recipe.steps)

    updates, moments = rule.update(gradient, state.moments, state.trainable)
    trainable = jax.tree.map(jnp.add, state.trainable, updates)

    def if_good(new: Array, old: Array) -> Array:
        return jnp.where(good, new, old)  # in the loop that makes the new value: a cond would copy the old ones

    trainable = jax.tree.map(if_good, trainable, state.trainable)
    moments = jax.tree.map(if_good, moments, state.moments)
    watch = _update_skip_state(state.watch, good, norm)
    lr = make_schedule(recipe.optimizer, recipe.steps)(state.watch.taken)
    happened = StepMetrics(loss, norm, jnp.asarray(lr, jnp.float32), tokens, good, watch.skipped, watch.in_a_row)
    return TrainState(state.step + 1, trainable, moments, watch), happened


def loss_and_gradient(recipe: StepConfig, trainable: Tree, frozen: Tree, batch: Batch) -> tuple[Array, Tree]:
    """The loss of a batch and its gradient; the same, but for rounding, in however many parts."""
    weight = jnp.sum(batch.weights)
    total = jnp.where(weight > 0, weight, 1.0)

    def share(trainable: Tree, part: Batch) -> Array:
        params = recipe.adaptation.join(trainable, frozen)
        return weighted_nll(recipe.wiring, params, part, recipe.given, recipe.dtype) / total

    return _accumulate(jax.value_and_grad(share), recipe.accumulate, trainable, batch)


def _accumulate(
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
