"""The interface of all checkpoint formats, and the assembly of parameters from it.

A format provides tensors under Hugging Face's names, a configuration and an encoding. `assemble` reads, arranges and
casts the part of each device separately, so the model is never in memory twice.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, Sharding, SingleDeviceSharding

from ropelab.checkpoints.hugging_face.names import TOP_NAMES, Leaf, list_leaves
from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.encodings.base import Encoding
from ropelab.errors import CheckpointError
from ropelab.models.llama import LlamaConfig
from ropelab.models.sharding import partition_spec


class Source(Protocol):
    """A checkpoint on disk, read lazily.

    Attributes:
        name: its name in messages.
        weights: a description of the stored weights for a protocol: "SmolLM2-135M-Instruct, Q4_1 GGUF".
        config: the model's sizes.
        encoding: the positional encoding the weights were trained with.
        tokenizer: None if the checkpoint has none.
        shapes: the shape of every tensor under its Hugging Face name, e.g.
            `model.layers.0.self_attn.q_proj.weight`: (N H, D), rows paired for "half" rotation.
    """

    name: str
    weights: str
    config: LlamaConfig
    encoding: Encoding
    tokenizer: Tokenizer | None
    shapes: Mapping[str, tuple[int, ...]]

    def tensor(self, name: str) -> np.ndarray:
        """Return the values of a tensor, dequantized if needed, as a numpy array of a float dtype."""
        ...


_Index = tuple[slice, ...]


def assemble(source: Source, *, dtype: Any, mesh: Mesh | None = None) -> dict[str, Any]:
    """Assemble the tree of parameters.

    Args:
        dtype: the dtype of the parameters.
        mesh: shards the parameters; None puts them on the first device.

    Raises:
        CheckpointError: for a missing or unknown tensor, or one of the wrong shape.
    """
    _check_tensors(source)
    tree: dict[str, Any] = {}
    for leaf in list_leaves(source.config):
        place: Sharding = SingleDeviceSharding(jax.devices()[0])
        if mesh is not None:
            place = NamedSharding(mesh, partition_spec(leaf.path, leaf.shape, mesh))
        branch = tree
        for key in leaf.path[:-1]:
            branch = branch.setdefault(key, {})
        branch[leaf.path[-1]] = _read_leaf(source, leaf, np.dtype(dtype), place)
    return tree


def _read_leaf(source: Source, leaf: Leaf, dtype: np.dtype, place: Sharding) -> jax.Array:
    """Read a parameter, separately for each device."""

    def part(index: _Index | None) -> np.ndarray:
        assert index is not None
        if len(leaf.path) == 1:
            return leaf.arrange(source.tensor(leaf.names[0]))[index].astype(dtype)
        layers = range(*index[0].indices(leaf.shape[0]))
        out = np.empty((len(layers), *_index_shape(index[1:], leaf.shape[1:])), dtype)
        for row, layer in enumerate(layers):
            out[row] = leaf.arrange(source.tensor(leaf.names[layer]))[index[1:]]
        return out

    return jax.make_array_from_callback(leaf.shape, place, part)


def _index_shape(index: _Index, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the part that an index selects."""
    return tuple(len(range(*i.indices(n))) for i, n in zip(index, shape, strict=True))


def _check_tensors(source: Source) -> None:
    """Check that all tensors exist with the right shapes, and that there are no others.

    Raises:
        CheckpointError: with the tensor, its shape and the expected shape.
    """
    if source.config.layers > len(source.shapes):  # before a damaged file makes a billion names
        layers, found = source.config.layers, len(source.shapes)
        raise CheckpointError(f"{source.name}: it declares {layers} layers but has only {found} tensors")
    expected = {name: leaf.stored for leaf in list_leaves(source.config) for name in leaf.names}
    for name, shape in expected.items():
        if name not in source.shapes:
            raise CheckpointError(f"{source.name}: tensor {name} is missing; the checkpoint is incomplete")
        found = tuple(source.shapes[name])
        if found != shape:
            raise CheckpointError(f"{source.name}: tensor {name} has shape {found}, expected {shape}")
    for name in source.shapes:
        if name not in expected and not _is_ignorable(name):
            raise CheckpointError(f"{source.name}: tensor {name} has no place in a Llama of this configuration")


def _is_ignorable(name: str) -> bool:
    """Return whether a tensor is a buffer of old checkpoints or the copy of a tied head."""
    return name.endswith("rotary_emb.inv_freq") or name == TOP_NAMES["head"]
