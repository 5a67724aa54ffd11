"""Distances between queries and keys, for biases that are functions of them."""

import jax.numpy as jnp
from jax import Array


def offsets(q_pos_BT: Array, k_pos_BS: Array) -> Array:
    """i - j as i32[B, 1, T, S]: positive for keys before the query."""
    return (jnp.asarray(q_pos_BT)[:, :, None] - jnp.asarray(k_pos_BS)[:, None, :])[:, None]


def by_head(values_N: Array, ctx_heads: Array, dtype: jnp.dtype) -> Array:
    """One number for each head present, as [N, 1, 1]."""
    return jnp.asarray(values_N)[ctx_heads].astype(dtype)[:, None, None]
