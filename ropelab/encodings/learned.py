"""Learned absolute positions: one learned vector for each position, added to the embedded tokens.

    x_p += table[p],  p < max_length

Source: Gehring et al., arXiv 1705.03122; GPT-2. OPT and fairseq store theirs from entry 2 on. There is no vector for a
position beyond `max_length`; such a position gives NaN rather than the last vector once more.
"""

import jax
import jax.numpy as jnp
from jax import Array

from ropelab.encodings.base import Encoding, Params
from ropelab.spec import at_least, require, spec

__all__ = ["LearnedAbsolute"]

_MOST = 2**31 - 1


@spec
class LearnedAbsolute(Encoding):
    """A table of `max_length` vectors as wide as the model: heads * head_dim unless `width` says otherwise."""

    max_length: int
    width: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "max_length")
        require(
            self.max_length <= _MOST, self, f"max_length={self.max_length} is beyond {_MOST}: positions have 32 bits"
        )
        require(self.width is None or self.width >= 1, self, f"width={self.width} must be positive")

    @property
    def relative(self) -> bool:
        return False

    @property
    def position_limit(self) -> int:
        return self.max_length

    @property
    def per_layer(self) -> bool:
        return False

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        width = self.width or num_heads * head_dim
        return {"table": 0.02 * jax.random.normal(key, (self.max_length, width), jnp.float32)}

    def embed(self, params: Params, x_BTD: Array, pos_BT: Array) -> Array:
        table_PD = params["table"]
        require(
            table_PD.shape[1] == x_BTD.shape[-1],
            self,
            f"its vectors are {table_PD.shape[1]} wide and the model's {x_BTD.shape[-1]}; give width=",
        )
        added_BTD = table_PD.at[jnp.asarray(pos_BT)].get(mode="fill", fill_value=jnp.nan)
        return (x_BTD.astype(jnp.float32) + added_BTD).astype(x_BTD.dtype)


EXAMPLES = (LearnedAbsolute(max_length=32),)
