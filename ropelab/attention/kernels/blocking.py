"""How blockwise kernels cut tokens into blocks, classify pairs of blocks, and loop over the key groups of a block."""

from collections.abc import Callable
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ropelab.attention.formula import Operands, Pattern, Tokens

_HIDDEN, MIXED, WHOLE = 0, 1, 2  # no pair visible; look at the counts; every pair seen exactly once
_PAD_QUERY, _PAD_KEY = -2, -1  # segments that match no document and not each other


def cut_operands(operands: Operands, rows: int, columns: int) -> Operands:
    """Cut queries into blocks of `rows`, keys and values into blocks of `columns`; block numbers lead."""
    queries, keys = operands.queries, operands.keys
    if queries.pos.shape[1] % rows or keys.pos.shape[1] % columns:
        queries, keys = _add_segments(queries), _add_segments(keys)
    queries, keys = _cut_tokens(queries, rows, _PAD_QUERY), _cut_tokens(keys, columns, _PAD_KEY)
    return operands._replace(queries=queries, keys=keys, values=cut(operands.values, columns, axis=2))


def _cut_tokens(tokens: Tokens, size: int, pad_segment: int) -> Tokens:
    return Tokens(
        tuple(cut(view, size, axis=2) for view in tokens.views),
        cut(tokens.pos, size, axis=1, fill=None),
        None if tokens.segments is None else cut(tokens.segments, size, axis=1, fill=pad_segment),
    )


def _add_segments(tokens: Tokens) -> Tokens:
    """Add segments to tokens without any, because padding is recognised by its segment."""
    return tokens if tokens.segments is not None else tokens._replace(segments=jnp.zeros_like(tokens.pos))


def cut(x: Array, size: int, axis: int, fill: int | None = 0) -> Array:
    """Split one axis into blocks of `size`, the block number in front; padded with `fill`, or None for the last entry,
    which leaves the range of a block's positions as it is."""
    missing = -x.shape[axis] % size
    if missing:
        width = [(0, missing if a == axis else 0) for a in range(x.ndim)]
        x = jnp.pad(x, width, mode="edge") if fill is None else jnp.pad(x, width, constant_values=fill)
    split = x.reshape(*x.shape[:axis], x.shape[axis] // size, size, *x.shape[axis + 1 :])
    return jnp.moveaxis(split, axis, 0)


def join(x: Array, length: int) -> Array:
    """Invert `cut` along axis 2 and drop the padding."""
    x = jnp.moveaxis(x, 0, 2)
    return x.reshape(*x.shape[:2], -1, *x.shape[4:])[:, :, :length]


def classify_blocks(pattern: Pattern, queries: Tokens, keys: Tokens) -> Array:
    """Classify pairs of blocks as HIDDEN, MIXED or WHOLE, i32[query blocks, key blocks].

    The ranges of positions and segments of the blocks decide.
    """
    any_visible, all_once = pattern.reach(*_find_bounds(queries.pos, 1), *_find_bounds(keys.pos, 0))
    if queries.segments is not None and keys.segments is not None:
        q_first, q_last = _find_bounds(queries.segments, 1)
        k_first, k_last = _find_bounds(keys.segments, 0)
        any_visible &= (q_first <= k_last) & (k_first <= q_last)
        all_once &= (q_first == q_last) & (k_first == k_last) & (q_first == k_first)
    return jnp.where(any_visible, jnp.where(all_once, WHOLE, MIXED), _HIDDEN)


def _find_bounds(blocks: Array, axis: int) -> tuple[Array, Array]:
    """Return the smallest and largest entry of each block, with `axis` free for the other side's blocks."""
    return jnp.expand_dims(jnp.min(blocks, (1, 2)), axis), jnp.expand_dims(jnp.max(blocks, (1, 2)), axis)


_NO_GROUP = np.iinfo(np.int32).max  # no group has this number
Carry = TypeVar("Carry")


def loop_over_groups(group_BT: Array, start: Carry, step: Callable[[Carry, Array, Array], Carry]) -> Carry:
    """Apply `step(carry, group, here_B1T)` for each distinct group among the queries, in ascending order.

    Natural positions put one group or two into a block; scattered ones cost a step for each that occurs.
    """

    def one(state: tuple[Array, Carry]) -> tuple[Array, Carry]:
        group, carry = state
        following = jnp.min(jnp.where(group_BT > group, group_BT, _NO_GROUP))
        return following, step(carry, group, (group_BT == group)[:, None, :])

    return lax.while_loop(lambda state: state[0] < _NO_GROUP, one, (jnp.min(group_BT), start))[1]
