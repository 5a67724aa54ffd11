"""The next token from its logits: the most probable, or a draw at a temperature from the top of the distribution."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array


@partial(jax.jit, static_argnames=("temperature", "top_p"))
def sample(logits_BV: Array, key: Array, *, temperature: float = 0.0, top_p: float = 1.0) -> Array:
    """i32[B]. Temperature 0 is greedy; `top_p` keeps the fewest tokens whose probabilities sum to it or more.

    Source of top-p: Holtzman et al., arXiv 1904.09751, section 3.1.
    """
    if temperature == 0:
        return jnp.argmax(logits_BV, axis=-1)
    logits_BV = logits_BV / temperature
    if top_p < 1:
        sorted_BV = jnp.sort(logits_BV, axis=-1, descending=True)
        p_BV = jax.nn.softmax(sorted_BV, axis=-1)
        before_BV = jnp.cumsum(p_BV, axis=-1) - p_BV  # the most probable token is always kept
        least_B1 = jnp.min(jnp.where(before_BV < top_p, sorted_BV, jnp.inf), axis=-1, keepdims=True)
        logits_BV = jnp.where(logits_BV >= least_B1, logits_BV, -jnp.inf)
    return jax.random.categorical(key, logits_BV, axis=-1)


def check_sampling(temperature: float, top_p: float) -> None:
    """Raise `ValueError` unless these can be sampled with."""
    if not temperature >= 0:
        raise ValueError(f"temperature={temperature} must be 0 (greedy) or more")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p} must lie in (0, 1]")
