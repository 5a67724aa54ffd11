"""What one step of training sees: the tokens of some windows, what follows each, and where each stands.

A window is T + 1 consecutive tokens x_0, ..., x_T of a stream. Token t of the row is x_t, its target x_{t+1}. The
weight of a target is 1, or 0 if it is padding, or if documents are separate and it belongs to another document than
its token: the first token of a document follows from nothing before it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Batch(NamedTuple):
    """B windows of T predictions, in NumPy.

    Attributes:
        tokens: i32[B, T].
        targets: i32[B, T], the token that follows.
        weights: f32[B, T], 1 where the target counts towards the loss, 0 where not.
        positions: i32[B, T], where the token is said to stand.
        segments: i32[B, T], the number of its document within the window, from 0; padding is -1.
    """

    tokens: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    positions: np.ndarray
    segments: np.ndarray


def make_batch(
    windows: np.ndarray, segments: np.ndarray, positions: np.ndarray, separate: bool, known: np.ndarray | None = None
) -> Batch:
    """The batch of these windows.

    Args:
        windows: i32[B, T + 1], the tokens.
        segments: i32[B, T + 1], their documents from 0; -1 is padding.
        positions: i32[B, T].
        separate: whether nothing is asked across a document's end.
        known: bool[B, T], the targets that may be asked for; all if None.
    """
    here, there = segments[:, :-1], segments[:, 1:]
    asked = (there >= 0) & ((here == there) | (not separate))
    if known is not None:
        asked &= known
    return Batch(
        np.ascontiguousarray(windows[:, :-1], np.int32),
        np.ascontiguousarray(windows[:, 1:], np.int32),
        asked.astype(np.float32),
        positions.astype(np.int32, copy=False),
        np.ascontiguousarray(here, np.int32),
    )


def take_rows(batch: Batch, rows: range) -> Batch:
    """Some neighbouring rows of a batch."""
    return Batch(*(part[rows.start : rows.stop] for part in batch))


def join_rows(batches: list[Batch]) -> Batch:
    """Rows upon rows."""
    return batches[0] if len(batches) == 1 else Batch(*(np.concatenate(parts) for parts in zip(*batches, strict=True)))


def split_rows(rows: Batch, size: int) -> Iterator[Batch]:
    """`size` rows at a time, in order; the last batch is filled up with rows of weight 0 and segment -1.

    Raises:
        ValueError: if size is not at least 1.
    """
    if size < 1:
        raise ValueError(f"size={size} must be at least 1 row")
    for start in range(0, len(rows.tokens), size):
        part = take_rows(rows, range(start, start + size))
        missing = size - len(part.tokens)
        yield join_rows([part, _padding_rows(missing, part)]) if missing else part


def _padding_rows(count: int, like: Batch) -> Batch:
    """Rows that count for nothing, as long as these and at the same positions."""
    zeros = np.zeros((count, like.tokens.shape[1]), np.int32)
    positions = np.repeat(like.positions[:1], count, axis=0)
    return Batch(zeros, zeros, zeros.astype(np.float32), positions, zeros - 1)
