"""LongNet's dilated attention: near tokens densely, far ones sparsely, at a cost that is linear in the text.

A branch (w, r) cuts the text into segments of w tokens and keeps every r-th token of each, queries and keys alike,
from an offset o(h) that differs between heads:

    n_ij = sum over branches of [i // w = j // w][i % r = j % r = o(h)],   j <= i

The paper mixes the outputs of the branches by their softmax denominators. That is one softmax over all their keys in
which a key that k branches see counts k times, so a branch is nothing but counts. A token that no branch keeps for a
head gets 0 from that head.

Source: LongNet, Ding et al., arXiv 2307.02486, section 3, and its code, torchscale at 4d1e0e82. The paper's offset is
h mod r (`head_offset="mod"`), the code's h // ceil(N / r) (`"contiguous"`). The code lets no gradient through the
mixing weights (`mix_gradient=False`); with it the gradients are those of the one softmax. A segment shorter than its
rate's multiple is refused (the code misaligns it), a text of any length is taken.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

from ropelab.attention.formula import Evaluate, Formula, Operands, Pattern, Result
from ropelab.attention.patterns.shifted_sparse import Grouped
from ropelab.attention.subsets import (
    HeadResult,
    concat_heads,
    empty_result,
    merge_results,
    pad_queries,
    scatter,
    select_heads,
    sequencing_zero,
    strided,
)
from ropelab.spec import require, spec


@spec
class Dilated(Pattern):
    """Branches of segment length and dilation rate, `segments[b]` with `rates[b]`.

    Attributes:
        head_offset: from which token on a head keeps every r-th: "mod", h % r; "contiguous", h // ceil(N / r).
        mix_gradient: whether gradients go through the weights by which branches are mixed.
    """

    segments: tuple[int, ...]
    rates: tuple[int, ...]
    head_offset: Literal["mod", "contiguous"] = "mod"
    mix_gradient: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        same = len(self.segments) == len(self.rates) > 0
        require(same, self, f"segments={self.segments} and rates={self.rates} must be as many, one at least")
        for w, r in self.branches:
            require(w > 0 and r > 0, self, f"segments={self.segments} and rates={self.rates} must be positive")
            require(w % r == 0, self, f"a segment of {w} is no multiple of its rate {r}")

    @property
    def branches(self) -> tuple[tuple[int, int], ...]:
        """`(w, r)` of each."""
        return tuple(zip(self.segments, self.rates, strict=True))

    def offset(self, head: Any, num_heads: int, rate: int) -> Any:
        """The first token that a head keeps, or that these heads keep."""
        return head % rate if self.head_offset == "mod" else head // -(-num_heads // rate)

    def counts(self, q_pos: Array, k_pos: Array, head: Array, num_heads: int) -> Array:
        total = 0
        for w, r in self.branches:
            kept = self.offset(head, num_heads, r)
            total += (q_pos // w == k_pos // w) & (q_pos % r == kept) & (k_pos % r == kept) & (k_pos <= q_pos)
        return jnp.asarray(total, jnp.int32)

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        first = jnp.min(jnp.stack([q_low // w * w for w in self.segments]), axis=0)
        any_visible = (k_low <= q_high) & (k_high >= first)
        return any_visible, jnp.zeros_like(any_visible)

    def attend(self, kernel: Evaluate, formula: Formula, operands: Operands, *, in_order: bool) -> tuple:
        """A branch is attention within groups of kept tokens, for each set of heads that keep the same ones."""
        if formula.encoding.needs_full_rows:
            require(self.mix_gradient, self, f"mix_gradient=False cannot be had with {formula.encoding!r}")
            return kernel(formula, operands)  # its scores depend on all keys that a query sees, whatever the branch
        if in_order:
            parts, zero = [], jnp.zeros((), jnp.int32)
            for w, r in self.branches:
                parts.append(self.branch(kernel, formula, operands, w, r, zero))
                zero = sequencing_zero(parts[-1])
            offsets = [self.offsets(formula.num_heads, r) for r in self.rates]
            T = operands.queries.pos.shape[1]
            # Made again for the backward pass: cheap, and what it spreads is as large as all tokens.
            return jax.checkpoint(self.mix, static_argnums=(1, 2))(parts, tuple(offsets), T)
        if self.mix_gradient:
            return kernel(formula, operands)
        single = [Dilated(segments=(w,), rates=(r,), head_offset=self.head_offset) for w, r in self.branches]
        return merge_results([kernel(formula._replace(pattern=one), operands) for one in single], weights_learn=False)

    def branch(self, kernel: Evaluate, formula: Formula, operands: Operands, w: int, r: int, zero: Array) -> Result:
        """What every head makes of the tokens that it keeps: [B, N, ceil(T / r), H] and their lse."""
        T = operands.queries.pos.shape[1]
        within, parts = formula._replace(pattern=Grouped(group=w)), []
        for offset, mine in self.group_heads_by_offset(formula.num_heads, r).items():
            if offset < T:
                kept = strided(r, select_heads(operands, mine), offset, zero)
                found = pad_queries(kernel(within, kept), -(-T // r))
            else:
                found = empty_result(operands, len(mine), -(-T // r))
            parts.append(HeadResult(mine, found))
        return concat_heads(parts)

    def mix(self, parts: list[Result], offsets: tuple[tuple[int, ...], ...], T: int) -> Result:
        """The branches put back among all tokens and mixed."""
        whole = [scatter(part, r, o, T) for part, r, o in zip(parts, self.rates, offsets, strict=True)]
        return merge_results(whole, weights_learn=self.mix_gradient)

    def offsets(self, num_heads: int, rate: int) -> tuple[int, ...]:
        """The offset of each head, as numbers."""
        return tuple(self.offset(head, num_heads, rate) for head in range(num_heads))

    def group_heads_by_offset(self, num_heads: int, rate: int) -> dict[int, tuple[int, ...]]:
        """Offset → the heads that have it."""
        offsets = self.offsets(num_heads, rate)
        return {o: tuple(head for head, mine in enumerate(offsets) if mine == o) for o in dict.fromkeys(offsets)}

    def arrangement(self, num_heads: int) -> str:
        calls = sum(len(self.group_heads_by_offset(num_heads, rate)) for rate in self.rates)
        return f"{len(self.rates)} branches in {calls} calls on the tokens kept, merged by their lse"


EXAMPLES = (
    Dilated(segments=(4, 8, 16), rates=(1, 2, 4)),
    Dilated(segments=(6, 12), rates=(2, 3), head_offset="contiguous"),
)
