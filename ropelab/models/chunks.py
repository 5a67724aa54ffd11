"""Position-wise work, a few hundred tokens at a time where that is faster.

On a CPU the feed-forward of 8192 tokens runs at 120 GFLOP/s in one piece and at 168 in pieces of 512, whose
intermediates stay in the cache; and no [T, F] array is held. Accelerators want the whole, and so does a backward pass,
which would add up the gradient of each matrix piece by piece: a step of 2048 tokens takes 1.00 s so and 0.93 s whole.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

CPU_CHUNK = 512


def by_tokens(function: Callable[..., Any], *arrays: Array, whole: bool = False) -> Any:
    """`function(*arrays)`, for a function that treats each token [B, T, ...] on its own."""
    T = arrays[0].shape[1]
    if whole or jax.default_backend() != "cpu" or T <= CPU_CHUNK:
        return function(*arrays)
    even = T - T % CPU_CHUNK
    done = lax.map(lambda pieces: function(*pieces), tuple(split(x[:, :even]) for x in arrays))
    done = jax.tree.map(merge, done)
    if even == T:
        return done
    rest = function(*(x[:, even:] for x in arrays))
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), done, rest)


def split(x: Array) -> Array:
    """[B, T, ...] → [T / chunk, B, chunk, ...]."""
    return jnp.moveaxis(x.reshape(x.shape[0], -1, CPU_CHUNK, *x.shape[2:]), 1, 0)


def merge(x: Array) -> Array:
    """The inverse of `split`."""
    x = jnp.moveaxis(x, 0, 1)
    return x.reshape(x.shape[0], -1, *x.shape[3:])
