"""The Sparse Transformer's fixed pattern: one's own block, and the last columns of every block before it.

    own block    floor(i / l) = floor(j / l)              j <= i,  l = block
    summaries    j mod l >= l - c, or j = i               j <= i,  c = summary

With `heads="split"` heads 0, 2, 4, ... see their own block and heads 1, 3, 5, ... the summaries; with "merged" every
head sees both. `distinct` gives each head with summaries columns of its own, the last c, the c before them, and so on
around the block, which the paper found preferable and LongNet's baseline uses.

Source: Child et al., arXiv 1904.10509, sections 4.3 and 4.4 (multi-head factorised attention, or merged heads).
"""

from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.attention.formula import Evaluate, Formula, Operands, Pattern, Result
from ropelab.attention.patterns.causal import Causal
from ropelab.attention.patterns.shifted_sparse import Grouped
from ropelab.attention.subsets import HeadResult, concat_heads, merge_results, select_heads, select_tokens
from ropelab.spec import at_least, require, spec


@spec
class FixedSparse(Pattern):
    """Blocks of `block` tokens, each summarised by `summary` of its columns."""

    block: int
    summary: int
    heads: Literal["split", "merged"] = "split"
    distinct: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "block", "summary")
        require(self.summary <= self.block, self, f"summary={self.summary} exceeds block={self.block}")

    @property
    def own(self) -> Grouped:
        return Grouped(group=self.block)

    def column(self, head: Any) -> Any:
        """The first of the columns that summarise a block for this head, or for these."""
        if not self.distinct:
            return self.block - self.summary + 0 * head
        turn = (head // 2 if self.heads == "split" else head) % (self.block // self.summary)
        return self.block - (turn + 1) * self.summary

    def is_summary(self, k_pos: Any, head: Any) -> Any:
        """Whether a token is in a summary: of jax's arrays or of numpy's."""
        column = k_pos % self.block - self.column(head)
        return (column >= 0) & (column < self.summary)

    def counts(self, q_pos: Array, k_pos: Array, head: Array, num_heads: int) -> Array:
        own = self.own.counts(q_pos, k_pos, head, num_heads)
        summary = self.is_summary(k_pos, head)
        if self.heads == "merged":
            return own | (summary & (k_pos // self.block < q_pos // self.block))
        return jnp.where(head % 2 == 0, own, (summary & (k_pos <= q_pos)) | (k_pos == q_pos))

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        near, all_near = self.own.reach(q_low, q_high, k_low, k_high)
        ends_inside = k_high // self.block > k_low // self.block
        summary = ends_inside | (k_high % self.block >= self.block - self.summary) | self.distinct
        any_visible = near | (summary & (k_low <= q_high))
        return any_visible, all_near & (self.heads == "merged")

    def attend(self, kernel: Evaluate, formula: Formula, operands: Operands, *, in_order: bool) -> tuple:
        """Summaries as keys of their own, T summary / block of them, instead of blocks that are mostly hidden."""
        if not in_order or formula.encoding.needs_full_rows:
            return kernel(formula, operands)
        sets: dict[object, list[int]] = {}
        for head in range(formula.num_heads):
            with_summaries = self.heads == "merged" or head % 2 == 1
            sets.setdefault(int(self.column(np.int32(head))) if with_summaries else None, []).append(head)
        parts = []
        for column, heads in sets.items():
            part = select_heads(operands, heads)
            parts.append(HeadResult(tuple(heads), self.attend_head_set(kernel, formula, part, heads[0], column)))
        return concat_heads(parts)

    def attend_head_set(
        self, kernel: Evaluate, formula: Formula, operands: Operands, head: int, column: object
    ) -> Result:
        """Heads that see the same: their own block, their summaries, or both."""
        own = formula._replace(pattern=self.own)
        if column is None:
            return kernel(own, operands)
        T = operands.keys.pos.shape[1]
        numbers = np.flatnonzero(np.asarray(self.is_summary(np.arange(T), np.int32(head))))
        near = own if self.heads == "merged" else formula._replace(pattern=SelfUnlessSummarised(inner=self, head=head))
        if not numbers.size:
            return kernel(near, operands)
        far = EarlierBlocks(block=self.block) if self.heads == "merged" else Causal()
        summaries = kernel(formula._replace(pattern=far), select_tokens(operands, keys=numbers))
        return merge_results([kernel(near, operands), summaries])

    def arrangement(self, num_heads: int) -> str:
        return "own blocks and summaries in calls of their own, merged by their lse"


@spec
class EarlierBlocks(Pattern):
    """All tokens of earlier blocks."""

    block: int

    def counts(self, q_pos: Array, k_pos: Array, head: Array, num_heads: int) -> Array:
        del head, num_heads
        return k_pos // self.block < q_pos // self.block

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        return k_low // self.block < q_high // self.block, k_high // self.block < q_low // self.block


@spec
class SelfUnlessSummarised(Pattern):
    """A token itself, unless it is among the summaries of its head, where it is seen already."""

    inner: FixedSparse
    head: int

    def counts(self, q_pos: Array, k_pos: Array, head: Array, num_heads: int) -> Array:
        del head, num_heads
        return (k_pos == q_pos) & ~self.inner.is_summary(k_pos, jnp.int32(self.head))

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        any_visible = (k_low <= q_high) & (q_low <= k_high)
        return any_visible, jnp.zeros_like(any_visible)


EXAMPLES = (
    FixedSparse(block=6, summary=2),
    FixedSparse(block=6, summary=2, heads="merged", distinct=True),
)
