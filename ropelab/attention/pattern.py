"""How often query i sees key j: the count n_ij of the one formula, 0 for hidden.

Counts are functions of positions and head numbers alone, so the same pattern serves a full sequence, a
cache, a shard and a packed batch. A key seen twice weighs twice in numerator and denominator.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import Array

from ropelab.spec import Spec, spec

if TYPE_CHECKING:
    from ropelab.attention.blocks import Formula, Operands

Evaluate = Callable[["Formula", "Operands"], tuple[Array, Array]]  # a kernel: (out_BNTH, lse_BNT) of a formula


@spec
class Pattern(Spec):
    """Every query sees every key once: the base of all patterns.

    The contract, checked for every pattern:

    1. `counts` is elementwise: any block of it may be asked for, in any order.
    2. `reach` never says that a visible pair is hidden, nor that a hidden one is seen once.
    3. `attend` equals one call of the kernel with the counts.
    4. A `causal` pattern never counts a key after its query.
    """

    @property
    def causal(self) -> bool:
        """Whether no query sees a key after it."""
        return True

    @property
    def fractional_positions(self) -> bool:
        """Whether the counts are defined between whole positions."""
        return False

    @property
    def span(self) -> int:
        """How many tokens from the beginning of a text may all be seen once: beyond, a receipt looks for a difference.

        An upper bound: what the integers among the fields add up to, `sinks` + `window` of `Sinks`.
        """
        values = (getattr(self, field.name) for field in dataclasses.fields(self))
        numbers = (number for value in values for number in (value if isinstance(value, tuple) else (value,)))
        return sum(abs(number) for number in numbers if isinstance(number, int))

    def check_positions(self, positions: Array, name: str) -> None:
        """Raise `ValueError` for fractional positions where the counts are defined for whole ones only."""
        if jnp.issubdtype(positions.dtype, jnp.floating) and not self.fractional_positions:
            raise ValueError(
                f"{self!r} counts whole positions only, and {name} are {positions.dtype}; give integers, or Causal()"
            )

    def counts(self, q_pos: Array, k_pos: Array, head: Array, num_heads: int) -> Array:
        """n_ij, an integer or a boolean, for each query position, key position and head, broadcast.

        Args:
            head: global number of the query head, of the `num_heads` that the whole model has.
        """
        del head, num_heads
        return jnp.ones(jnp.broadcast_shapes(jnp.shape(q_pos), jnp.shape(k_pos)), bool)

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        """`(any_visible, all_once)` for a block whose positions lie in the given closed ranges, whatever the head.

        A kernel leaves out the blocks without a visible pair, and does not ask for the counts of a
        block in which every pair is seen exactly once. The default claims nothing.
        """
        del q_low, k_low, k_high
        return jnp.ones_like(q_high, bool), jnp.zeros_like(q_high, bool)

    def attend(self, kernel: Evaluate, formula: "Formula", operands: "Operands", *, in_order: bool) -> tuple:
        """`(out_BNTH, lse_BNT)` of the formula, by as many calls of the kernel as make it cheap.

        Args:
            in_order: whether queries and keys are the same tokens, token t at position t, and all heads of the model
                are here, so that tokens and heads may be picked by their numbers. A kernel knows positions anyway.
        """
        del in_order
        return kernel(formula, operands)

    def arrangement(self, num_heads: int) -> str:
        """What `attend` does with tokens in order, in words, for a receipt."""
        del num_heads
        return "one call"


@spec
class Interval(Pattern):
    """Each query sees the keys from a first one up to itself, the first never falling as the query moves on."""

    def first(self, q_pos: Array, head: Array, num_heads: int) -> Array:
        """The position of the first key that a query sees."""
        raise NotImplementedError

    def earliest_and_latest(self, q_pos: Array) -> tuple[Array, Array]:
        """Bounds of `first` over all heads."""
        same = self.first(q_pos, jnp.zeros((), jnp.int32), 1)
        return same, same

    def counts(self, q_pos: Array, k_pos: Array, head: Array, num_heads: int) -> Array:
        return (k_pos <= q_pos) & (k_pos >= self.first(q_pos, head, num_heads))

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        earliest, _ = self.earliest_and_latest(q_low)
        _, latest = self.earliest_and_latest(q_high)
        return (k_low <= q_high) & (k_high >= earliest), (k_high <= q_low) & (k_low >= latest)
