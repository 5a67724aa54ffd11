"""Parameters away from where they began, as after a training."""

import jax

from ropelab.models.family import Tree


def moved(trainable: Tree, size: float = 0.1) -> Tree:
    """The trainable tree somewhere else than where it began."""
    leaves, structure = jax.tree.flatten(trainable)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noise = (size * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True))
    return jax.tree.unflatten(structure, [x + n for x, n in zip(leaves, noise, strict=True)])
