"""Log-n scaling: queries beyond the trained length are sharpened, so that attention over more keys stays as focused.

    q'_i = max(1, ln(i + 1) / ln(L)) q_i,  L = original_length

Source: Su Jianlin, kexue.fm/archives/8823 and 9706; Qwen-1's `use_logn_attn`; Self-Extend and ReRoPE use it too.
"""

import math

import jax.numpy as jnp
from jax import Array

from ropelab.encodings.base import Context, Params
from ropelab.encodings.query_scaling import QueryScaled
from ropelab.encodings.rope import RoPE
from ropelab.spec import at_least, spec

__all__ = ["LogN"]


@spec
class LogN(QueryScaled):
    """`inner` with queries multiplied by max(1, ln(i + 1) / ln(original_length))."""

    original_length: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, self, "original_length")

    def query_scale(self, params: Params, pos_BT: Array, ctx: Context) -> Array:
        del params, ctx
        return jnp.maximum(jnp.log(pos_BT.astype(jnp.float32) + 1) / math.log(self.original_length), 1.0)[..., None]


EXAMPLES = (LogN(inner=RoPE(base=1e4), original_length=16),)
