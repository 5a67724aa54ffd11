"""Continuing a prompt from a cache of unrotated keys."""

import jax.numpy as jnp
import numpy as np

from ropelab.models import compiled
from ropelab.models.module import Llama

SLOTS = 64  # cache sizes are multiples of this, so that few of them are ever compiled


def greedy(model: Llama, prompt: list[int], max_new_tokens: int, stop: int | None) -> list[int]:
    """The most probable next token, again and again, until `stop` or `max_new_tokens`."""
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens={max_new_tokens} must be at least 1")
    tokens_1T = model.checked([prompt])
    slots = -(-(len(prompt) + max_new_tokens) // SLOTS) * SLOTS
    scores, cache = compiled.prefill(model.wiring, slots, model.params, tokens_1T)
    out: list[int] = []
    while True:
        token = int(np.argmax(scores[0, -1]))
        if token == stop:
            return out
        out.append(token)
        if len(out) == max_new_tokens:
            return out
        scores, cache = compiled.decode(model.wiring, model.params, jnp.full((1, 1), token, jnp.int32), cache)
