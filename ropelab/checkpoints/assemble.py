"""A checkpoint's tensors → parameters, straight into the wanted dtype and sharding.

Each device's part of each parameter is read, arranged and cast on its own, so that no second copy of the
model exists at any time.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, Sharding, SingleDeviceSharding

from ropelab.checkpoints.llama_names import Leaf, check_tensors, leaves
from ropelab.checkpoints.source import Source
from ropelab.models.sharding import partition_spec

Index = tuple[slice, ...]


def assemble(source: Source, *, dtype: Any, mesh: Mesh | None = None) -> dict[str, Any]:
    """The tree of parameters.

    Raises:
        CheckpointError: for a missing or superfluous tensor, or one of the wrong shape.
    """
    check_tensors(source)
    tree: dict[str, Any] = {}
    for leaf in leaves(source.config):
        place: Sharding = SingleDeviceSharding(jax.devices()[0])
        if mesh is not None:
            place = NamedSharding(mesh, partition_spec(leaf.path, leaf.shape, mesh))
        branch = tree
        for key in leaf.path[:-1]:
            branch = branch.setdefault(key, {})
        branch[leaf.path[-1]] = read_leaf(source, leaf, np.dtype(dtype), place)
    return tree


def read_leaf(source: Source, leaf: Leaf, dtype: np.dtype, place: Sharding) -> jax.Array:
    """One parameter, each device's part read by itself."""

    def part(index: Index | None) -> np.ndarray:
        assert index is not None
        if len(leaf.path) == 1:
            return leaf.arrange(source.tensor(leaf.names[0]))[index].astype(dtype)
        layers = range(*index[0].indices(leaf.shape[0]))
        out = np.empty((len(layers), *extent(index[1:], leaf.shape[1:])), dtype)
        for row, layer in enumerate(layers):
            out[row] = leaf.arrange(source.tensor(leaf.names[layer]))[index[1:]]
        return out

    return jax.make_array_from_callback(leaf.shape, place, part)


def extent(index: Index, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that an index cuts out."""
    return tuple(len(range(*i.indices(n))) for i, n in zip(index, shape, strict=True))
