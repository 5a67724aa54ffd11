"""LongRoPE: a searched divisor for each pair, one list for short contexts and one for long.

    inv_freq_i = base^(-2i/d) / lambda_i,  lambda = long_factor beyond the trained length L, else short_factor
    q', k' times a,  a = sqrt(1 + ln(factor) / ln(L))   at every length

Source: Ding et al., arXiv 2402.13753; transformers 5.23, `longrope` (Phi-3's "su"). Engines differ in when the long
list is taken: transformers by the length of each call, vLLM and llama.cpp once by the configured context. `select`
says which: "length" (of the sequence or, with `per="query"`, of each query), "short" or "long".
"""

import math
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context
from ropelab.encodings.length_dependent import LengthDependent
from ropelab.encodings.rotary import Frequencies, float64, plain_frequencies
from ropelab.spec import at_least, require, spec

__all__ = ["LongRoPE", "longrope_frequencies"]


def longrope_frequencies(head_dim: int, *, base: float, divisors: tuple[float, ...]) -> np.ndarray:
    """Radians per token, float64[head_dim / 2].

    Raises:
        ValueError: unless there is one divisor for each pair.
    """
    if len(divisors) != head_dim // 2:
        raise ValueError(
            f"LongRoPE: {len(divisors)} factors given for the {head_dim // 2} pairs of {head_dim} dimensions"
        )
    return plain_frequencies(head_dim, base=base) / np.asarray(divisors, np.float64)


def longrope_attention_factor(factor: float, original_length: int) -> float:
    """sqrt(1 + ln(factor) / ln(original_length)), and 1 where nothing is extended."""
    return math.sqrt(1 + math.log(factor) / math.log(original_length)) if factor > 1 else 1.0


@spec
class LongRoPE(LengthDependent):
    """Searched divisors, short and long.

    Attributes:
        factor: new length over `original_length`; the temperature depends on it.
        short_factor, long_factor: the divisor of each pair.
        select: by the length, or always one of the lists.
        attention_factor: in place of sqrt(1 + ln(factor) / ln(original_length)).
    """

    factor: float
    short_factor: tuple[float, ...]
    long_factor: tuple[float, ...]
    select: Literal["length", "short", "long"] = "length"
    attention_factor: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "factor")
        at_least(2, self, "original_length")
        require(self.step is None, self, "there is no step: a query's length matters as beyond the trained one or not")
        require(self.per == "sequence" or self.select == "length", self, 'per="query" needs select="length"')
        lists = self.short_factor, self.long_factor
        require(
            len(lists[0]) == len(lists[1]), self, "short_factor and long_factor must have the same number of entries"
        )
        require(all(x > 0 for x in (*lists[0], *lists[1])), self, "short_factor and long_factor must be positive")
        given = self.attention_factor
        require(given is None or given > 0, self, f"attention_factor={given} must be positive")

    @property
    def depends_on_length(self) -> bool:
        return self.per == "sequence" and self.select == "length" and self.short_factor != self.long_factor

    @property
    def amplitude(self) -> float:
        """What queries and keys are multiplied by."""
        given = self.attention_factor
        return longrope_attention_factor(self.factor, self.original_length) if given is None else given

    def query_group(self, q_pos_BT: Array) -> Array:
        return (jnp.asarray(q_pos_BT) >= self.original_length).astype(jnp.int32)

    def effective_length(self, ctx: Context) -> int | Array:
        if not self.per_query_keys:
            return ctx.length
        assert ctx.group is not None
        return self.original_length + ctx.group

    def check(self, head_dim: int) -> None:
        super().check(head_dim)
        self.frequencies(head_dim, 1)

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[Frequencies, float]:
        dim, base = self.rotated_dims(head_dim), self.require_base()
        short, long = (longrope_frequencies(dim, base=base, divisors=d) for d in (self.short_factor, self.long_factor))
        if self.select != "length":
            return (short if self.select == "short" else long), self.amplitude
        if isinstance(length, int | np.integer):
            return (long if length > self.original_length else short), self.amplitude
        with float64():
            return jnp.where(length > self.original_length, long, short), self.amplitude


_SHORT, _LONG = (1.0, 1.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5), (1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 4.5, 5.0)
EXAMPLES = tuple(
    LongRoPE(base=1e4, factor=4, original_length=24, short_factor=_SHORT, long_factor=_LONG, per=per)
    for per in ("sequence", "query")
)
