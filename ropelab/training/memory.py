"""Whether a training fits into memory, before anything is compiled: a lower bound, so nothing that fits is refused.

    state + gradient + frozen parameters + batch + layers x rows x T x D

per device: the parameters and moments as they are sharded, and the stream that each layer keeps for the backward pass.
"""

import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import psutil

from ropelab.data.synthetic import parse_task
from ropelab.models.parameters import initialise
from ropelab.models.tables import with_tables
from ropelab.training.mesh import ROWS, shardings
from ropelab.training.plan import Stage

if TYPE_CHECKING:
    from ropelab.training.setup import Setup

BATCH_BYTES = 20  # per token: five arrays of four bytes


def check_memory(setup: "Setup", stage: Stage) -> None:
    """Raise `ValueError` if a stage, or what is measured in it, needs more memory than a device has."""
    there = device_bytes()
    if there is None:
        return
    for what, needed in {**training_bytes(setup, stage), **measuring_bytes(setup)}.items():
        if needed > there:
            raise ValueError(
                f"{what} need at least {needed / 1e9:,.1f} GB per device, which has {there / 1e9:,.1f} GB; give "
                "smaller ones, or more devices along mesh.fsdp or mesh.data"
            )


def training_bytes(setup: "Setup", stage: Stage) -> dict[str, int]:
    """Bytes per device of the arrays of a step, each with the settings that they come from."""
    state, frozen = setup.like(stage), frozen_shapes(setup, stage)
    places = shardings(frozen, setup.mesh)
    parameters = tree_bytes(state) + tree_bytes(state.trainable)
    parameters += sum(map(bytes_of, jax.tree.leaves(frozen), jax.tree.leaves(places)))
    shards, config = math.prod(setup.mesh.shape[axis] for axis in ROWS), setup.config
    tokens = stage.batch * stage.length // shards
    part = tokens // setup.plan.compute.accumulate // setup.mesh.shape["sequence"]
    kept = config.layers * part * config.width * jnp.dtype(setup.plan.compute.dtype).itemsize
    return {
        f"{setup.plan.model}, {setup.encoding(stage)!r} and {setup.plan.adaptation!r}": parameters,
        f"batch={stage.batch} of length={stage.length}": tokens * BATCH_BYTES + kept,
    }


def measuring_bytes(setup: "Setup") -> dict[str, int]:
    """Bytes of one window of each length that is measured, and of the examples of a task."""
    plan, width = setup.plan, setup.config.width * 4
    if not plan.held.tokens:
        return {}
    lengths = plan.held.lengths or (setup.stages[-1].length,)
    examples = plan.held.tokens * BATCH_BYTES if parse_task(plan.data.source) is not None else 0
    return {
        f"held.lengths={max(lengths)}": max(lengths) * (BATCH_BYTES + width // setup.mesh.shape["sequence"]),
        f"held.tokens={plan.held.tokens}": examples,
    }


def frozen_shapes(setup: "Setup", stage: Stage) -> Any:
    """The shapes of the parameters that are not trained."""

    def split_frozen() -> Any:
        key = jax.random.key(0)
        params = with_tables(initialise(key, setup.config), key, setup.encoding(stage), setup.config)
        return setup.plan.adaptation.split(key, params)[1]

    return jax.eval_shape(split_frozen)


def tree_bytes(tree: Any) -> int:
    """Bytes of a tree of shapes with shardings, on one device."""
    return sum(bytes_of(leaf, leaf.sharding) for leaf in jax.tree.leaves(tree))


def bytes_of(leaf: Any, place: Any) -> int:
    return math.prod(place.shard_shape(leaf.shape)) * leaf.dtype.itemsize


def device_bytes() -> int | None:
    """What each device has, in use or not; devices of a CPU share the host's. None if nothing tells."""
    devices = jax.local_devices()
    if devices[0].platform == "cpu":
        return psutil.virtual_memory().total // len(devices)
    limits: list[Any] = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    return min((limit for limit in limits if limit), default=None)
