"""The mesh of a run: how many devices lie along each axis, and where the state and the batches lie on them.

    data        copies of the parameters; each sees its own rows of a batch
    fsdp        the same, the parameters cut over it and gathered when they are used
    tensor      heads, feed-forward and vocabulary cut over it
    sequence    the tokens of a row cut over it; the kernel is then an exchange

Programs are written as for one device and cut by XLA from where their arguments lie (`models.sharding`).
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ropelab.data.batch import Batch
from ropelab.models.sharding import partition_spec
from ropelab.spec import Spec, require, spec

ROWS = ("data", "fsdp")


@spec
class MeshShape(Spec):
    """Devices along each axis; one axis may be -1, all that are left over."""

    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    sequence: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, size in dataclasses.asdict(self).items():
            require(size >= 1 or size == -1, self, f"{name}={size} must be at least 1, or -1 for the rest")
        require(list(dataclasses.astuple(self)).count(-1) <= 1, self, "only one axis can be -1, the rest")

    def filled(self, devices: int) -> dict[str, int]:
        """The size of every axis on so many devices.

        Raises:
            ValueError: if they do not divide, or are too few, or some would be idle.
        """
        sizes = dataclasses.asdict(self)
        known = math.prod(size for size in sizes.values() if size != -1)
        sizes = {name: devices // known if size == -1 else size for name, size in sizes.items()}
        wanted = math.prod(sizes.values())
        require(wanted == devices, self, f"there are {devices} devices and the axes make {wanted}; one may be -1")
        return sizes


def make_mesh(shape: MeshShape, devices: list[Any] | None = None) -> Mesh:
    """The mesh over all devices of all processes, or over those given."""
    devices = jax.devices() if devices is None else devices
    sizes = shape.filled(len(devices))
    kinds = (AxisType.Auto,) * len(sizes)
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), devices=devices, axis_types=kinds)


def check_batch(batch: int, accumulate: int, mesh: Mesh) -> None:
    """Raise `ValueError` unless every device gets as many rows of every part of a batch as every other."""
    shards = math.prod(mesh.shape[axis] for axis in ROWS)
    if batch % (shards * accumulate):
        raise ValueError(
            f"batch={batch} does not divide into {accumulate} parts of rows for {shards} devices; "
            f"give a multiple of {shards * accumulate}"
        )


def shardings(tree: Any, mesh: Mesh) -> Any:
    """Where each leaf of a state lies: as the parameter that it belongs to, by the names on its path."""

    def place(path: tuple, leaf: Any) -> NamedSharding:
        names = tuple(str(entry.key) for entry in path if hasattr(entry, "key"))
        return NamedSharding(mesh, partition_spec(names, leaf.shape, mesh) if names and leaf.ndim else P())

    return jax.tree.map_with_path(place, tree)


def made_on(mesh: Mesh, make: Callable[..., Any], *arguments: Any) -> Any:
    """`make(*arguments)`, each device making its own part of the result: no device ever holds the whole."""
    places = shardings(jax.eval_shape(make, *arguments), mesh)
    return jax.jit(make, out_shardings=places)(*arguments)


def own_rows(batch: int, mesh: Mesh) -> range:
    """The rows of a batch that devices of this process hold."""
    parts = NamedSharding(mesh, P(ROWS)).addressable_devices_indices_map((batch,)).values()
    bounds = [part[0].indices(batch)[:2] for part in parts if part is not None]
    return range(min(low for low, _ in bounds), max(high for _, high in bounds))


def placed_batch(local: Batch, batch: int, mesh: Mesh) -> Batch:
    """A batch over the whole mesh, of which this process has `own_rows`."""
    first = own_rows(batch, mesh).start

    def place(rows: np.ndarray) -> jax.Array:
        def part(index: tuple[slice, ...] | None) -> np.ndarray:
            assert index is not None
            low, high, _ = index[0].indices(batch)
            return rows[low - first : high - first]

        return jax.make_array_from_callback((batch, *rows.shape[1:]), NamedSharding(mesh, P(ROWS)), part)

    return jax.tree.map(place, local)
