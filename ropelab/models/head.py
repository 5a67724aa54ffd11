"""From hidden states to logits, or straight to the loss without ever holding [T, V].

The logits of 8192 tokens over 49152 words are 1.6 GB. The loss walks over tokens and over words in blocks, with a
running maximum and sum like attention's: 1024 tokens and 4096 words are 17 MB, which on a CPU stay in the cache
(0.74 s for 2048 tokens of SmolLM2, against 1.10 s with all words at once).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from ropelab.precision import einsum

TOKENS, WORDS = 1024, 4096
LOWEST = -1e30  # the running maximum before any word


def table(params: dict[str, Any]) -> Array:
    """The output projection [V, D]: its own, or the embedding's."""
    return params.get("head", params["embedding"])


def logits(params: dict[str, Any], x_BTD: Array) -> Array:
    """float32[B, T, V]."""
    return einsum("BTD,VD->BTV", x_BTD, table(params), preferred_element_type=jnp.float32)


def negative_log_likelihood(params: dict[str, Any], x_BTD: Array, targets_BT: Array) -> Array:
    """-log softmax(logits)[target], float32[B, T]."""
    B, T = targets_BT.shape
    size = min(TOKENS, T)
    missing = -T % size
    x_BTD = jnp.pad(x_BTD, ((0, 0), (0, missing), (0, 0)))
    targets_BT = jnp.pad(targets_BT, ((0, 0), (0, missing)))
    chunks = tuple(jnp.moveaxis(a.reshape(B, -1, size, *a.shape[2:]), 1, 0) for a in (x_BTD, targets_BT))

    @jax.checkpoint
    def chunk(_: None, xs: tuple[Array, Array]) -> tuple[None, Array]:
        x, targets = xs
        picked = einsum("BTD,BTD->BT", x, table(params)[targets], preferred_element_type=jnp.float32)
        return None, log_sum_exp(x, table(params)) - picked

    losses = lax.scan(chunk, None, chunks)[1]
    return jnp.moveaxis(losses, 0, 1).reshape(B, -1)[:, :T]


def log_sum_exp(x_BTD: Array, table_VD: Array) -> Array:
    """log sum_v exp(x . w_v), float32[B, T], a block of words at a time."""
    V, D = table_VD.shape
    whole = V - V % WORDS

    @jax.checkpoint
    def absorb(carry: tuple[Array, Array], words_VD: Array) -> tuple[tuple[Array, Array], None]:
        top, total = carry
        scores = einsum("BTD,VD->BTV", x_BTD, words_VD, preferred_element_type=jnp.float32)
        higher = jnp.maximum(top, lax.stop_gradient(jnp.max(scores, axis=-1)))
        total = total * jnp.exp(top - higher) + jnp.sum(jnp.exp(scores - higher[..., None]), axis=-1)
        return (higher, total), None

    carry = (jnp.full(x_BTD.shape[:2], LOWEST, jnp.float32), jnp.zeros(x_BTD.shape[:2], jnp.float32))
    if whole:
        carry, _ = lax.scan(absorb, carry, table_VD[:whole].reshape(-1, WORDS, D))
    if whole < V:
        carry, _ = absorb(carry, table_VD[whole:])
    top, total = carry
    return top + jnp.log(total)
