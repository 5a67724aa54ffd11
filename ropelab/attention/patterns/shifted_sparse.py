"""Attention within groups, and with half of the heads' groups shifted by half a group.

    Grouped          floor((i + shift) / group) = floor((j + shift) / group), j <= i
    ShiftedSparse    Grouped for the first half of the heads, Grouped with shift = group / 2 for the second

Source: LongLoRA, Chen et al., arXiv 2309.12307, section 3.2 (S2-Attn; `Grouped` is its "short"), code at d4eb344c. That
code takes group = T / 4, rolls the shifted heads around the end of the text, so that its first half group sees the last
one (the authors: on purpose, issue 15), and shifts odd groups by unequal amounts there and back. Here groups are cut at
both ends of the text, as in its flash-attention path, and odd groups are refused. It is meant for training; the paper
evaluates with full attention.
"""

import jax.numpy as jnp
from jax import Array

from ropelab.attention.formula import Evaluate, Formula, Interval, Operands
from ropelab.attention.subsets import HeadResult, concat_heads, select_heads
from ropelab.spec import at_least, require, spec


@spec
class Grouped(Interval):
    """Tokens see those before them in their own group; `shift` moves all borders that far to the left."""

    group: int
    shift: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "group")
        at_least(0, self, "shift")

    def first(self, q_pos: Array, head: Array, num_heads: int) -> Array:
        del head, num_heads
        return (q_pos + self.shift) // self.group * self.group - self.shift


@spec
class ShiftedSparse(Interval):
    """S2-Attn: two ways of cutting the text into groups, so that information passes from group to group."""

    group: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, self, "group")
        require(self.group % 2 == 0, self, f"group={self.group} must be even: half of it is the shift")

    @property
    def halves(self) -> tuple[Grouped, Grouped]:
        """What the first half of the heads sees, and what the second sees."""
        return Grouped(group=self.group), Grouped(group=self.group, shift=self.group // 2)

    def first(self, q_pos: Array, head: Array, num_heads: int) -> Array:
        plain, shifted = (half.first(q_pos, head, num_heads) for half in self.halves)
        return jnp.where(head < num_heads // 2, plain, shifted)

    def earliest_and_latest(self, q_pos: Array) -> tuple[Array, Array]:
        plain, shifted = (half.earliest_and_latest(q_pos)[0] for half in self.halves)
        return jnp.minimum(plain, shifted), jnp.maximum(plain, shifted)

    def attend(self, kernel: Evaluate, formula: Formula, operands: Operands, *, in_order: bool) -> tuple:
        """Each half of the heads by itself: together they would visit half as many blocks again."""
        N = formula.num_heads
        if not in_order or N < 2:
            return kernel(formula, operands)
        heads = tuple(range(N // 2)), tuple(range(N // 2, N))
        return concat_heads(
            [
                HeadResult(mine, kernel(formula._replace(pattern=half), select_heads(operands, mine)))
                for mine, half in zip(heads, self.halves, strict=True)
            ]
        )

    def arrangement(self, num_heads: int) -> str:
        return "one call for each half of the heads"


EXAMPLES = (Grouped(group=6), ShiftedSparse(group=6))
