"""Batches that must not move the parameters: those whose loss or gradient is not finite, of padding alone, and spikes.

    spike:  |g| > factor * m,    m ← m + (|g| - m) / min(n, 50)   over the n batches that were taken

A batch that is left out changes no parameter, no moment and no count of the optimiser: the state is the one of a run
that never saw it.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from ropelab.spec import Spec, at_least, require, spec

MEMORY = 50  # batches that the mean norm remembers, and that pass before a spike is one


@spec
class Guard(Spec):
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


class Watch(NamedTuple):
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


def first_watch() -> Watch:
    # Each an array of its own: a step is handed them to use up.
    taken, skipped, in_a_row = (jnp.zeros((), jnp.int32) for _ in range(3))
    return Watch(taken, skipped, in_a_row, jnp.zeros((), jnp.float32))


def acceptable(guard: Guard, watch: Watch, loss: Array, norm: Array) -> Array:
    """Whether this batch is taken."""
    finite = jnp.isfinite(loss) & jnp.isfinite(norm)
    if not guard.spike:
        return finite
    return finite & ((watch.taken < MEMORY) | (norm <= guard.spike * watch.norm))


def watched(watch: Watch, good: Array, norm: Array) -> Watch:
    """The watch after a batch."""
    taken = watch.taken + good
    share = 1.0 / jnp.clip(taken, 1, MEMORY).astype(jnp.float32)
    mean = jnp.where(good, watch.norm + (norm - watch.norm) * share, watch.norm)
    return Watch(taken, watch.skipped + ~good, jnp.where(good, 0, watch.in_a_row + 1), mean)
