"""From hidden states to logits, or straight to the loss without ever holding [T, V].

The logits of 8192 tokens over 49152 words are 1.6 GB; a chunk of 512 tokens is 0.1 GB.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

CHUNK = 512


def table(params: dict[str, Any]) -> Array:
    """The output projection [V, D]: its own, or the embedding's."""
    return params.get("head", params["embedding"])


def logits(params: dict[str, Any], x_BTD: Array) -> Array:
    """float32[B, T, V]."""
    return jnp.einsum("BTD,VD->BTV", x_BTD, table(params), preferred_element_type=jnp.float32)


def negative_log_likelihood(params: dict[str, Any], x_BTD: Array, targets_BT: Array) -> Array:
    """-log softmax(logits)[target], float32[B, T], a chunk of tokens at a time."""
    B, T = targets_BT.shape
    missing = -T % min(CHUNK, T)
    x_BTD = jnp.pad(x_BTD, ((0, 0), (0, missing), (0, 0)))
    targets_BT = jnp.pad(targets_BT, ((0, 0), (0, missing)))
    size = min(CHUNK, T)
    x_chunks = jnp.moveaxis(x_BTD.reshape(B, -1, size, x_BTD.shape[-1]), 1, 0)
    target_chunks = jnp.moveaxis(targets_BT.reshape(B, -1, size), 1, 0)

    @jax.checkpoint
    def chunk(_: None, xs: tuple[Array, Array]) -> tuple[None, Array]:
        x, target = xs
        scores = logits(params, x)
        picked = jnp.take_along_axis(scores, target[..., None], axis=-1)[..., 0]
        return None, jax.nn.logsumexp(scores, axis=-1) - picked

    _, losses = lax.scan(chunk, None, (x_chunks, target_chunks))
    return jnp.moveaxis(losses, 0, 1).reshape(B, -1)[:, :T]
