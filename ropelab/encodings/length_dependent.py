"""Rotary encodings whose frequencies grow with the context, and the two meanings that this can have.

`per="sequence"`: all queries of a call share the frequencies of its length, as in a full forward of transformers.
No cache decodes that exactly in a deep model, because earlier hidden states were made under earlier lengths.

`per="query"`: query i sees all keys under the frequencies of its own length, i + 1 rounded up to a step:

    length_i = L + step * ceil(max(i + 1 - L, 0) / step),   L = original_length

This depends on the query alone, so decoding equals the full forward at every step.
"""

import math
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context
from ropelab.encodings.rotary import Rotary, float64
from ropelab.spec import at_least, require, spec


@spec
class LengthDependent(Rotary):
    """Base of the length-dependent rotary encodings.

    Attributes:
        original_length: tokens of context up to which nothing changes, L.
        per: whose length counts, the call's or each query's own.
        step: tokens by which the length of a query grows at a time; ceil(L / 32) by default.
    """

    original_length: int
    per: Literal["sequence", "query"] = "sequence"
    step: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "original_length")
        require(self.step is None or self.per_query_keys, self, f'step={self.step} acts with per="query" only')
        require(self.step is None or self.step >= 1, self, f"step={self.step} must be at least 1")

    @property
    def depends_on_length(self) -> bool:
        return self.per == "sequence"

    @property
    def per_query_keys(self) -> bool:
        return self.per == "query"

    @property
    def relative(self) -> bool:
        return not self.per_query_keys

    def query_group(self, q_pos_BT: Array) -> Array:
        beyond_BT = jnp.maximum(jnp.asarray(q_pos_BT) + 1 - self.original_length, 0)
        return -(-beyond_BT // self.resolve_step())

    def effective_length(self, ctx: Context) -> int | Array:
        if not self.per_query_keys:
            return ctx.length
        assert ctx.group is not None
        return self.original_length + self.resolve_step() * ctx.group

    def resolve_step(self) -> int:
        return self.step or math.ceil(self.original_length / 32)


def scale_factor(length: int | Array, original_length: int) -> float | Array:
    """Return max(length, L) / L in float64."""
    if isinstance(length, int | np.integer):
        return max(int(length), original_length) / original_length
    with float64():
        return jnp.maximum(jnp.asarray(length).astype(jnp.float64), original_length) / original_length
