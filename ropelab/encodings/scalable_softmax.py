"""Scalable softmax: the logits of a query grow with the logarithm of the number of keys it sees.

    q'_i = s_h ln(i + 1) q_i

with a learned s for each head. Source: Nakanishi, "Scalable-Softmax is superior for attention", arXiv 2501.19399. The
count of visible keys is taken from the position, i + 1: positions that start again with each packed document make it
right for them.
"""

import jax.numpy as jnp
from jax import Array

from ropelab.encodings.base import Context, Params
from ropelab.encodings.query_scaling import QueryScaled
from ropelab.encodings.rope import RoPE
from ropelab.spec import spec

__all__ = ["ScalableSoftmax"]


@spec
class ScalableSoftmax(QueryScaled):
    """`inner` with queries multiplied by a learned number of each head times ln(i + 1)."""

    @property
    def per_layer(self) -> bool:
        return True

    def init_query_scale(self, num_heads: int) -> Params:
        """0.168 for every head, the paper's start (it is trained from there)."""
        return {"softmax_scale": jnp.full((num_heads,), 0.168, jnp.float32)}

    def query_scale(self, params: Params, pos_BT: Array, ctx: Context) -> Array:
        keys_BT1 = pos_BT.astype(jnp.float32)[..., None] + 1
        return params["softmax_scale"][ctx.heads].astype(jnp.float32) * jnp.log(keys_BT1)


EXAMPLES = (ScalableSoftmax(inner=RoPE(base=1e4)),)
