"""The Focused Transformer's memory layers: keys of other contexts in addition to a row's own, all at position 0.

    out_i = sum_j exp(s_ij) v_j / sum_j exp(s_ij),   j over one's own tokens j <= i, at their positions,
                                                     and over all tokens of the other contexts, at position 0

In training (`extend_across_batch`) the others are earlier rows of the batch, of the same document (to be found) and of
other documents (to be told apart), and gradients flow through them. In inference (`extend_with_memory`) they are the
earlier windows of the text. Either way there is one softmax, the others are no further away than the first token of
one's own context, and the length of the context, on which some encodings depend, is that of one's own.

This is no Pattern. Counts are functions of position and head and see neither the row of the batch nor where a key comes
from: of two keys at position 0, one from row b - 1 and one from a row too far back, one is seen. So this module
concatenates the keys, for `attend` with `Causal()`, under which position 0 is never ahead of a query:

    x = extend_across_batch(k_BSKH, v_BSKH, others=2, pack=4)
    attend(q_BTNH, x.k_BSKH, x.v_BSKH, encoding=..., q_pos=x.q_pos, k_pos=x.k_pos, segments=x.segments)

Source: Tworkowski et al., arXiv 2307.03170, sections 3.1 and 3.2, and its code, CStanKonrad/long_llama at bfcb8d1:
`FoT/cross_batch.py`, and `modeling_longllama.py` for inference, which attends to all of the memory where the paper
retrieves its nearest keys. That code shows the padding of other rows to everyone in training; here padding is hidden.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

__all__ = ["ExtendedKeys", "count_visible_rows", "extend_across_batch", "extend_with_memory", "split_windows"]

_HIDDEN = -1  # the segment of keys that no query sees; queries and all other keys are in segment 0


class ExtendedKeys(NamedTuple):
    """A row's own keys, followed by those of other contexts, as `attend` takes them.

    Attributes:
        k_BSKH, v_BSKH: not encoded, the own S tokens first.
        q_pos, k_pos: i32[B, T] and i32[B, S]; 0 for the other contexts.
        segments: those of the queries and of the keys, i32[B, T] and i32[B, S].
    """

    k_BSKH: Array
    v_BSKH: Array
    q_pos: Array
    k_pos: Array
    segments: tuple[Array, Array]


def count_visible_rows(rows: int, *, others: int, pack: int | None = None) -> np.ndarray:
    """Return m(b), the number of earlier rows that each row of a batch sees: b - 1, b - 2, ..., b - m(b).

        m(b) = min(others, b)                                                   without `pack`
        m(b) = min((b mod pack) ceil((others + 1) / (pack - 1)), others, b)     with it, if it is not 1

    Args:
        others: how many rows a row may see.
        pack: how many rows in a row are one document's consecutive contexts: the first of them sees nothing but itself,
            the next ones more and more, so that a batch trains with many numbers of others.

    Raises:
        ValueError: unless `others` is at least 0 and `pack` divides the rows.
    """
    if others < 0:
        raise ValueError(f"others={others} must be at least 0: the number of earlier rows that a row may see")
    if pack is not None and (pack < 1 or rows % pack):
        raise ValueError(f"pack={pack} must divide the {rows} rows of the batch: each document has as many of them")
    row = np.arange(rows)
    if pack is None or pack == 1:
        return np.minimum(others, row)
    return np.minimum(np.minimum(row % pack * -(-(others + 1) // (pack - 1)), others), row)


def extend_across_batch(
    k_BSKH: Array,
    v_BSKH: Array,
    pos: Array | None = None,
    *,
    others: int,
    pack: int | None = None,
    present: Array | None = None,
) -> ExtendedKeys:
    """Extend each row's keys and values by those of the earlier rows that it sees, at most `1 + others` times as many.

    Args:
        pos: [S] or [B, S], not negative; 0, 1, 2, ... if not given.
        others, pack: as `count_visible_rows` has them.
        present: bool[B, S], false for padding. Documents that share a row are one context, as in the authors' code.

    Raises:
        ValueError: for shapes that do not fit together, negative positions, or what `count_visible_rows` refuses.
    """
    _check_shapes(k_BSKH, v_BSKH)
    B, S = k_BSKH.shape[:2]
    seen_B = count_visible_rows(B, others=others, pack=pack)
    back = np.arange(1, seen_B.max(initial=0) + 1)
    from_BC = np.maximum(np.arange(B)[:, None] - back, 0)
    here_BS = _broadcast_present(present, k_BSKH)
    seen_BCS = jnp.asarray(back <= seen_B[:, None])[..., None] & here_BS[from_BC]
    far_k, far_v = (jnp.asarray(x)[from_BC].reshape(B, back.size * S, *x.shape[2:]) for x in (k_BSKH, v_BSKH))
    return _extend_keys(k_BSKH, v_BSKH, pos, here_BS, far_k, far_v, seen_BCS.reshape(B, back.size * S))


def extend_with_memory(
    k_BSKH: Array,
    v_BSKH: Array,
    memory_k_BSKH: Array,
    memory_v_BSKH: Array,
    pos: Array | None = None,
    *,
    present: Array | None = None,
    memory_present: Array | None = None,
) -> ExtendedKeys:
    """Extend the keys and values of a window of text by those of all earlier windows.

    Args:
        memory_k_BSKH, memory_v_BSKH: as that layer projected them, not encoded; of length 0 for the first window.
        pos: [S] or [B, S] within the window, not negative; 0, 1, 2, ... if not given, whatever the window.
        present, memory_present: bool[B, S], false for padding.

    Raises:
        ValueError: for shapes that do not fit together, or negative positions.
    """
    _check_shapes(k_BSKH, v_BSKH)
    _check_shapes(memory_k_BSKH, memory_v_BSKH)
    if k_BSKH.shape[::2] != memory_k_BSKH.shape[::2] or k_BSKH.shape[3] != memory_k_BSKH.shape[3]:
        raise ValueError(f"a memory of {memory_k_BSKH.shape} does not fit keys of {k_BSKH.shape}, both as BSKH")
    seen = _broadcast_present(memory_present, memory_k_BSKH)
    return _extend_keys(k_BSKH, v_BSKH, pos, _broadcast_present(present, k_BSKH), memory_k_BSKH, memory_v_BSKH, seen)


def split_windows(length: int, *, window: int, last: int) -> Sequence[slice]:
    """Split a text for inference into windows from its beginning, and its `last` tokens at the end.

    Raises:
        ValueError: unless both lengths are at least 1.
    """
    if window < 1 or last < 1:
        raise ValueError(f"window={window} and last={last} must be at least 1: they are numbers of tokens")
    remembered = max(length - last, 0)
    starts = [*range(0, remembered, window), remembered]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], length], strict=True)]


def _extend_keys(
    k_BSKH: Array, v_BSKH: Array, pos: Array | None, here: Array, far_k: Array, far_v: Array, seen: Array
) -> ExtendedKeys:
    """Concatenate own and other tokens, with positions and segments that hide padding."""
    B, S = k_BSKH.shape[:2]
    pos = jnp.arange(S, dtype=jnp.int32) if pos is None else pos
    if not isinstance(pos, Tracer) and np.min(pos, initial=0) < 0:
        raise ValueError(f"position {np.min(pos)} is before the other contexts, which are at position 0; count from 0")
    pos_BS = jnp.broadcast_to(jnp.asarray(pos), (B, S))
    k_pos = jnp.concatenate([pos_BS, jnp.zeros(far_k.shape[:2], pos_BS.dtype)], axis=1)
    k_seg = jnp.where(jnp.concatenate([here, seen], axis=1), 0, _HIDDEN)
    k, v = (jnp.concatenate(pair, axis=1) for pair in ((k_BSKH, far_k), (v_BSKH, far_v)))
    return ExtendedKeys(k, v, pos_BS, k_pos, (jnp.zeros((B, S), k_seg.dtype), k_seg))


def _broadcast_present(present: Array | None, k_BSKH: Array) -> Array:
    """Return which tokens are not padding, bool[B, S]."""
    B, S = k_BSKH.shape[:2]
    return jnp.ones((B, S), bool) if present is None else jnp.broadcast_to(jnp.asarray(present, bool), (B, S))


def _check_shapes(k_BSKH: Array, v_BSKH: Array) -> None:
    if k_BSKH.ndim != 4 or k_BSKH.shape[:3] != v_BSKH.shape[:3]:
        raise ValueError(f"shapes do not fit: k {k_BSKH.shape}, v {v_BSKH.shape} as BSKH, BSKH")
