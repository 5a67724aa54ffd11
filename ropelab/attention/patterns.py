"""How often query i sees key j: the count n_ij of the one formula, 0 for hidden.

Counts are functions of positions and head numbers alone, so the same pattern serves a full sequence, a
cache, a shard and a packed batch. A key seen twice weighs twice in numerator and denominator.
"""

import jax.numpy as jnp
from jax import Array

from ropelab.encodings import specs
from ropelab.encodings.specs import Spec, at_least, spec


@spec
class Pattern(Spec):
    """Every query sees every key once: the base of all patterns.

    The contract, checked for every pattern:

    1. `counts` is elementwise over (T, S), so that any block of it may be asked for.
    2. `reach` never says that a visible pair is hidden, nor that a hidden one is seen once.
    """

    def counts(self, q_pos_BT: Array, k_pos_BS: Array, heads_N: Array) -> Array:
        """n as [B, N or 1, T, S], of integers or booleans."""
        del heads_N
        return jnp.ones((q_pos_BT.shape[0], 1, q_pos_BT.shape[1], k_pos_BS.shape[1]), bool)

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        """`(any_visible, all_once)` for a block whose positions lie in the given closed ranges.

        A kernel leaves out the blocks without a visible pair, and does not ask for the counts of a
        block in which every pair is seen exactly once. The default claims nothing.
        """
        del q_low, k_low, k_high
        return jnp.ones_like(q_high, bool), jnp.zeros_like(q_high, bool)


@spec
class Causal(Pattern):
    """j <= i."""

    def counts(self, q_pos_BT: Array, k_pos_BS: Array, heads_N: Array) -> Array:
        del heads_N
        return (k_pos_BS[:, None, :] <= q_pos_BT[:, :, None])[:, None]

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        return k_low <= q_high, k_high <= q_low


@spec
class SlidingWindow(Pattern):
    """i - window < j <= i: the query itself and the window - 1 tokens before it."""

    window: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "window")

    def counts(self, q_pos_BT: Array, k_pos_BS: Array, heads_N: Array) -> Array:
        del heads_N
        distance_BTS = q_pos_BT[:, :, None] - k_pos_BS[:, None, :]
        return ((distance_BTS >= 0) & (distance_BTS < self.window))[:, None]

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        any_visible = (k_low <= q_high) & (k_high > q_low - self.window)
        all_once = (k_high <= q_low) & (k_low > q_high - self.window)
        return any_visible, all_once


ALL: tuple[Pattern, ...] = (Causal(), SlidingWindow(window=9))


def parse(text: str) -> Pattern:
    """The pattern a spec string names: `parse(repr(p)) == p`.

    Raises:
        ValueError: for an unknown pattern or field, with the nearest right name, or a refused value.
    """
    return specs.parse(text, {type(p).__name__: type(p) for p in ALL}, kind="pattern")
