"""What every outside format is reduced to: tensors under Hugging Face's names, a configuration, an encoding."""

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
    """One checkpoint on disk, read lazily.

    Attributes:
        name: what to call it in messages.
        weights: what the stored weights are, for the line of a protocol: "SmolLM2-135M-Instruct, Q4_1 GGUF".
        config: the model's sizes.
        encoding: the positional encoding the weights were trained with.
        tokenizer: None when the checkpoint carries none.
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
        """The values of one tensor, dequantised if need be, as a numpy array of a float dtype."""
        ...


# A checkpoint's tensors → parameters, straight into the wanted dtype and sharding.
#
# Each device's part of each parameter is read, arranged and cast on its own, so that no second copy of the
# model exists at any time.

_Index = tuple[slice, ...]


def assemble(source: Source, *, dtype: Any, mesh: Mesh | None = None) -> dict[str, Any]:
    """The tree of parameters.

    Raises:
        CheckpointError: for a missing or superfluous tensor, or one of the wrong shape.
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
    """One parameter, each device's part read by itself."""

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
    """The shape that an index cuts out."""
    return tuple(len(range(*i.indices(n))) for i, n in zip(index, shape, strict=True))


def _check_tensors(source: Source) -> None:
    """Every tensor is there with the right shape, and none is there that would be left out.

    Raises:
        CheckpointError: naming the tensor, what was found and what was expected.
    """
    if source.config.layers > len(source.shapes):  # before a billion names are made
        layers, found = source.config.layers, len(source.shapes)
        raise CheckpointError(f"{source.name}: {layers} layers are declared and {found} tensors are there")
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
    """Buffers that old checkpoints stored, and the copy of a tied head."""
    return name.endswith("rotary_emb.inv_freq") or name == TOP_NAMES["head"]
