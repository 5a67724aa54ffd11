"""The one formula: patterns that count, the operands of a call, and the scores of one block of queries and keys.

    out_i = sum_j n_ij exp(s_ij) v_j / sum_j n_ij exp(s_ij),   lse_i = log sum_j n_ij exp(s_ij)

A pattern gives the count n_ij: how often query i sees key j, 0 if it is hidden. Counts are functions of positions and
head numbers only, so the same pattern serves a full sequence, a cache, a shard and a packed batch. A key that is seen
twice weighs twice in numerator and denominator.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from ropelab.encodings.base import Context, Encoding, Params
from ropelab.encodings.scoring import compute_scores, encode_keys, encode_queries, is_decode_shape, multiply_qk
from ropelab.precision import einsum
from ropelab.spec import Spec, spec

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
        """The number of tokens from the beginning of a text that may all be seen once; a receipt looks beyond it.

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
        """Return n_ij, an integer or a boolean, for each query position, key position and head, broadcast.

        Args:
            head: global number of the query head, of the `num_heads` that the whole model has.
        """
        del head, num_heads
        return jnp.ones(jnp.broadcast_shapes(jnp.shape(q_pos), jnp.shape(k_pos)), bool)

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        """Return `(any_visible, all_once)` for a block whose positions are in the closed ranges, for any head.

        A kernel leaves out the blocks without a visible pair, and does not ask for the counts of a
        block in which every pair is seen exactly once. The default claims nothing.
        """
        del q_low, k_low, k_high
        return jnp.ones_like(q_high, bool), jnp.zeros_like(q_high, bool)

    def attend(self, kernel: Evaluate, formula: "Formula", operands: "Operands", *, in_order: bool) -> tuple:
        """Evaluate the formula, `(out_BNTH, lse_BNT)`, by the calls of the kernel that make it cheap.

        Args:
            in_order: whether queries and keys are the same tokens, token t at position t, and all heads of the model
                are here, so that tokens and heads may be picked by their numbers. A kernel knows positions anyway.
        """
        del in_order
        return kernel(formula, operands)

    def arrangement(self, num_heads: int) -> str:
        """Describe, for a receipt, the calls that `attend` makes for tokens in order."""
        del num_heads
        return "one call"


@spec
class Interval(Pattern):
    """Each query sees the keys from a first one up to itself, the first never falling as the query moves on."""

    def first(self, q_pos: Array, head: Array, num_heads: int) -> Array:
        """Return the position of the first key that a query sees."""
        raise NotImplementedError

    def earliest_and_latest(self, q_pos: Array) -> tuple[Array, Array]:
        """Return bounds of `first` over all heads."""
        same = self.first(q_pos, jnp.zeros((), jnp.int32), 1)
        return same, same

    def counts(self, q_pos: Array, k_pos: Array, head: Array, num_heads: int) -> Array:
        return (k_pos <= q_pos) & (k_pos >= self.first(q_pos, head, num_heads))

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        earliest, _ = self.earliest_and_latest(q_low)
        _, latest = self.earliest_and_latest(q_high)
        return (k_low <= q_high) & (k_high >= earliest), (k_high <= q_low) & (k_low >= latest)


Result = tuple[Array, Array]  # (out_BNTH, lse_BNT)


class Formula(NamedTuple):
    """Static part of an attention call: encoding, pattern, and number of heads of the model."""

    encoding: Encoding
    pattern: Pattern
    num_heads: int


class Tokens(NamedTuple):
    """Encoded queries, or encoded keys, with their positions and segments.

    Attributes:
        views: each [B, N, T, H] for queries, divided by sqrt(H); [B, K, S, H] for keys. Under an encoding with
            per-query keys the raw queries and keys, which are encoded when they are read.
        pos: i32[B, T], positions, in any order.
        segments: i32[B, T], the document of each token; tokens see their own document only.
    """

    views: tuple[Array, ...]
    pos: Array
    segments: Array | None


class Operands(NamedTuple):
    """The arrays of an attention call.

    Attributes:
        params: the encoding's learned tables.
        queries, keys: encoded tokens.
        values: v_BKSH.
        length: tokens in context.
        heads: i32[N], global numbers of the query heads present.
    """

    params: Params
    queries: Tokens
    keys: Tokens
    values: Array
    length: int | Array
    heads: Array


def score_block(
    formula: Formula,
    operands: Operands,
    queries: Tokens,
    keys: Tokens,
    group: Array | None = None,
    multiply: Callable[[Array, Array], Array] = multiply_qk,
) -> Array:
    """Compute s_BNTS of one block, before masking.

    Args:
        group: under an encoding with per-query keys, the group whose queries are scored; other entries are undefined.
        multiply: computes s_BNTS from a view of the queries and a view of the keys.
    """
    encoding, params = formula.encoding, operands.params
    ctx = Context(operands.length, formula.num_heads, operands.heads, group)
    q_views, k_views = queries.views, keys.views
    if encoding.per_query_keys:
        q_views = encode_queries(encoding, params, jnp.swapaxes(q_views[0], 1, 2), queries.pos, ctx)
        k_views = encode_keys(encoding, params, jnp.swapaxes(k_views[0], 1, 2), keys.pos, ctx)
    visible = count_block(formula, operands, queries, keys) > 0 if encoding.needs_full_rows else None
    return compute_scores(encoding, params, q_views, k_views, queries.pos, keys.pos, ctx, visible, multiply)


def count_block(formula: Formula, operands: Operands, queries: Tokens, keys: Tokens) -> Array:
    """Compute n_BNTS of one block, or n_B1TS if all heads see the same."""
    q_pos, k_pos = queries.pos[:, None, :, None], keys.pos[:, None, None, :]
    n = formula.pattern.counts(q_pos, k_pos, operands.heads[:, None, None], formula.num_heads)
    n_BNTS = jnp.broadcast_to(n, jnp.broadcast_shapes(jnp.shape(n), q_pos.shape, k_pos.shape))
    if queries.segments is None or keys.segments is None:
        return n_BNTS
    same_BTS = queries.segments[:, :, None] == keys.segments[:, None, :]
    return n_BNTS * same_BTS[:, None]


def add_log_counts(s_BNTS: Array, n_BNTS: Array) -> Array:
    """Return s + log n, and -inf where n = 0: a finite number could be exceeded by large scores."""
    if n_BNTS.dtype == jnp.bool_:
        return jnp.where(n_BNTS, s_BNTS, -jnp.inf)
    return jnp.where(n_BNTS > 0, s_BNTS + jnp.log(jnp.maximum(n_BNTS, 1).astype(s_BNTS.dtype)), -jnp.inf)


def average_values(p_BNTS: Array, v_BKSH: Array) -> Array:
    """Return sum_j p_ij v_j as [B, N, T, H], accumulated in the dtype of p."""
    B, N, T, S = p_BNTS.shape
    K, H = v_BKSH.shape[1], v_BKSH.shape[3]
    p_BKMS = p_BNTS.astype(v_BKSH.dtype).reshape(B, K, N // K * T, S)
    if is_decode_shape(p_BKMS.shape[2]):
        p_BKSM = jnp.swapaxes(p_BKMS, 2, 3)
        out_BKMH = einsum("BKSM,BKSH->BKMH", p_BKSM, v_BKSH, preferred_element_type=p_BNTS.dtype)
    else:
        out_BKMH = einsum("BKMS,BKSH->BKMH", p_BKMS, v_BKSH, preferred_element_type=p_BNTS.dtype)
    return out_BKMH.reshape(B, N, T, H)
