"""The tree of a model's parameters: names, shapes and random values.

Layers are stacked along a leading axis L, so that one `lax.scan` runs them and one compiled body serves all.
Matrices are stored as they are multiplied: [in, out].
"""

import hashlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.models.family import Config, Tree


def shapes(config: Config) -> Tree:
    """The shape of every parameter, in the tree that the model's functions take."""
    table = (config.vocabulary, config.width)
    tree = config.family.shapes(config) | {"embedding": table}
    return tree if config.tied_head else tree | {"head": table}


def fingerprint(params: Tree) -> str:
    """Twelve hexadecimal digits that tell one set of weights from another: the hash of 64 values of each leaf."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(params):
        digest.update(jax.tree_util.keystr(path).encode() + str(leaf.shape).encode())
        digest.update(np.asarray(leaf[(-1,) * (leaf.ndim - 1)][:64], np.float32).tobytes())
    return digest.hexdigest()[:12]


@partial(jax.jit, static_argnums=(1, 2))
def initialise(key: Array, config: Config, dtype: Any = jnp.float32) -> Tree:
    """Random parameters, as the family draws them."""
    flat, structure = jax.tree.flatten_with_path(shapes(config), is_leaf=lambda x: isinstance(x, tuple))
    keys, draw = jax.random.split(key, len(flat)), config.family.initial_leaf
    leaves = [draw(k, path[-1].key, shape, config, dtype) for k, (path, shape) in zip(keys, flat, strict=True)]
    return jax.tree.unflatten(structure, leaves)
