"""The tree of a Llama's parameters: names, shapes and random values.

Layers are stacked along a leading axis L, so that one `lax.scan` runs them and one compiled body serves all.
Matrices are stored as they are multiplied: [in, out].
"""

import hashlib
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.models.config import LlamaConfig

Tree = dict[str, Any]


def shapes(config: LlamaConfig) -> Tree:
    """The shape of every parameter, in the tree that the model's functions take."""
    L, D, F, V = config.layers, config.width, config.feed_forward, config.vocabulary
    N, K, H = config.heads, config.key_heads, config.head_dim
    layers = {
        "attention_norm": (L, D),
        "q": (L, D, N, H),
        "k": (L, D, K, H),
        "v": (L, D, K, H),
        "o": (L, N, H, D),
        "mlp_norm": (L, D),
        "gate": (L, D, F),
        "up": (L, D, F),
        "down": (L, F, D),
    }
    if config.attention_bias:
        layers |= {"q_bias": (L, N, H), "k_bias": (L, K, H), "v_bias": (L, K, H), "o_bias": (L, D)}
    if config.mlp_bias:
        layers |= {"gate_bias": (L, F), "up_bias": (L, F), "down_bias": (L, D)}
    tree: Tree = {"embedding": (V, D), "layers": layers, "norm": (D,)}
    return tree if config.tied_head else tree | {"head": (V, D)}


def fingerprint(params: Tree) -> str:
    """Twelve hexadecimal digits that tell one set of weights from another: the hash of 64 values of each leaf."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(params):
        digest.update(jax.tree_util.keystr(path).encode() + str(leaf.shape).encode())
        digest.update(np.asarray(leaf[(-1,) * (leaf.ndim - 1)][:64], np.float32).tobytes())
    return digest.hexdigest()[:12]


def initialise(key: Array, config: LlamaConfig, dtype: Any = jnp.float32) -> Tree:
    """Random parameters: norms 1, biases 0, matrices normal with deviation 0.02, and those that write into the
    residual stream smaller by sqrt(2 L) (GPT-2's rule)."""
    flat, structure = jax.tree.flatten_with_path(shapes(config), is_leaf=lambda x: isinstance(x, tuple))
    keys = jax.random.split(key, len(flat))
    leaves = [initial_leaf(k, path[-1].key, shape, config, dtype) for k, (path, shape) in zip(keys, flat, strict=True)]
    return jax.tree.unflatten(structure, leaves)


def initial_leaf(key: Array, name: str, shape: tuple[int, ...], config: LlamaConfig, dtype: Any) -> Array:
    if name.endswith("norm"):
        return jnp.ones(shape, dtype)
    if name.endswith("bias"):
        return jnp.zeros(shape, dtype)
    deviation = 0.02 / (math.sqrt(2 * config.layers) if name in ("o", "down") else 1.0)
    return (deviation * jax.random.normal(key, shape, jnp.float32)).astype(dtype)
