"""Position temperature: queries are sharpened stepwise as they stand further on.

    q'_i = (1 + scale ln(1 + floor((i + first) / interval))) q_i

Source: Llama-4 (transformers 5.23, `attn_temperature_tuning`: scale 0.1, interval 8192, first 1, on the layers without
rotation only); Ministral-3 and Mistral-4 (`llama_4_scaling_beta` as scale, the trained length as interval, first 0, on
all layers).
"""

import jax.numpy as jnp
from jax import Array

from ropelab.encodings.base import Context, Params
from ropelab.encodings.nope import NoPE
from ropelab.encodings.query_scaling import QueryScaled
from ropelab.spec import at_least, require, spec

__all__ = ["Temperature"]


@spec
class Temperature(QueryScaled):
    """`inner` with queries multiplied by 1 + scale ln(1 + floor((i + first) / interval)).

    Attributes:
        scale: Llama-4's `attn_scale`, Ministral's `llama_4_scaling_beta`.
        interval: positions from one step to the next; Llama-4's `floor_scale`, Ministral's trained length.
        first: 1 where positions are counted from 1, as in Llama-4; 0 in Ministral.
    """

    interval: int
    scale: float = 0.1
    first: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "interval")
        require(self.scale > 0, self, f"scale={self.scale} must be positive")
        require(self.first in (0, 1), self, f"first={self.first} must be 0 or 1")

    def query_scale(self, params: Params, pos_BT: Array, ctx: Context) -> Array:
        del params, ctx
        steps_BT1 = ((pos_BT + self.first) // self.interval)[..., None]
        return 1 + self.scale * jnp.log1p(steps_BT1.astype(jnp.float32))


EXAMPLES = (Temperature(inner=NoPE(), interval=8),)
