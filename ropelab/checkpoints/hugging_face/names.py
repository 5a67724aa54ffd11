"""Names and layouts of the tensors of a Hugging Face Llama, and their place in the tree of parameters."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ropelab.models.llama import LlamaConfig
from ropelab.models.parameters import shapes

_Shape = tuple[int, ...]

LAYER_NAMES = {
    "attention_norm": "input_layernorm.weight",
    "q": "self_attn.q_proj.weight",
    "k": "self_attn.k_proj.weight",
    "v": "self_attn.v_proj.weight",
    "o": "self_attn.o_proj.weight",
    "mlp_norm": "post_attention_layernorm.weight",
    "gate": "mlp.gate_proj.weight",
    "up": "mlp.up_proj.weight",
    "down": "mlp.down_proj.weight",
    "q_bias": "self_attn.q_proj.bias",
    "k_bias": "self_attn.k_proj.bias",
    "v_bias": "self_attn.v_proj.bias",
    "o_bias": "self_attn.o_proj.bias",
    "gate_bias": "mlp.gate_proj.bias",
    "up_bias": "mlp.up_proj.bias",
    "down_bias": "mlp.down_proj.bias",
}
TOP_NAMES = {"embedding": "model.embed_tokens.weight", "norm": "model.norm.weight", "head": "lm_head.weight"}


class Leaf(NamedTuple):
    """A parameter of the tree and its tensors in a checkpoint.

    Attributes:
        path: keys from the root.
        shape: as in the tree, with a leading L for a stacked parameter.
        names: the tensors of the checkpoint, one per layer, or a single one.
        stored: the shape of each of them in the checkpoint.
        arrange: converts stored values to the values of one layer of the tree.
    """

    path: tuple[str, ...]
    shape: _Shape
    names: tuple[str, ...]
    stored: _Shape
    arrange: Callable[[np.ndarray], np.ndarray]


def list_leaves(config: LlamaConfig) -> Iterator[Leaf]:
    """List the parameters of a model of this configuration."""
    for key, value in shapes(config).items():
        if key != "layers":
            yield Leaf((key,), value, (TOP_NAMES[key],), value, lambda x: x)
            continue
        for name, shape in value.items():
            names = tuple(f"model.layers.{i}.{LAYER_NAMES[name]}" for i in range(config.layers))
            yield Leaf((key, name), shape, names, *_stored_layout(name, shape[1:]))


def _stored_layout(name: str, shape: _Shape) -> tuple[_Shape, Callable[[np.ndarray], np.ndarray]]:
    """Return the shape in a checkpoint, (out, in) with flattened heads, and the conversion to (in, out) with heads."""
    if name in ("q", "k", "v"):
        D, N, H = shape
        return (N * H, D), lambda w: w.T.reshape(D, N, H)
    if name == "o":
        N, H, D = shape
        return (D, N * H), lambda w: w.T.reshape(N, H, D)
    if name in ("gate", "up", "down"):
        return shape[::-1], lambda w: w.T
    return (int(np.prod(shape)),), lambda w: w.reshape(shape)


def to_stored(leaf: Leaf, values: np.ndarray) -> np.ndarray:
    """Convert the values of one layer of the tree to Hugging Face's layout: the inverse of `arrange`."""
    return values if len(leaf.path) == 1 else values.reshape(leaf.stored[::-1]).T
