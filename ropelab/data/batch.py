"""Batches of windows (tokens, the tokens that follow them, weights and positions) and streams of batches.

A window is T + 1 consecutive tokens x_0, ..., x_T of a stream. Token t of the row is x_t, its target x_{t+1}. The
weight of a target is 1. It is 0 for padding, and if documents are separate also for the first token of a document,
which cannot be predicted from the document before.

A stream's state is small and JSON-serialisable: after n batches it makes a new stream return batch n + 1. It only fits
a stream of the same data and sizes, but may be restored in a process that reads other rows.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np


class Batch(NamedTuple):
    """B windows of T predictions, in NumPy.

    Attributes:
        tokens: i32[B, T].
        targets: i32[B, T], the token that follows.
        weights: f32[B, T], 1 where the target counts towards the loss, 0 where not.
        positions: i32[B, T], the positions that the model is given.
        segments: i32[B, T], the index of the document within the window, from 0; padding is -1.
    """

    tokens: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    positions: np.ndarray
    segments: np.ndarray


def make_batch(
    windows: np.ndarray, segments: np.ndarray, positions: np.ndarray, separate: bool, known: np.ndarray | None = None
) -> Batch:
    """Make a batch of windows.

    Args:
        windows: i32[B, T + 1], the tokens.
        segments: i32[B, T + 1], their documents from 0; -1 is padding.
        positions: i32[B, T].
        separate: whether the first token of each document has weight 0.
        known: bool[B, T], the targets that can be predicted; all if None.
    """
    token_segments, target_segments = segments[:, :-1], segments[:, 1:]
    counted = (target_segments >= 0) & ((token_segments == target_segments) | (not separate))
    if known is not None:
        counted &= known
    return Batch(
        np.ascontiguousarray(windows[:, :-1], np.int32),
        np.ascontiguousarray(windows[:, 1:], np.int32),
        counted.astype(np.float32),
        positions.astype(np.int32, copy=False),
        np.ascontiguousarray(token_segments, np.int32),
    )


def take_rows(batch: Batch, rows: range) -> Batch:
    """Return a contiguous range of the rows of a batch."""
    return Batch(*(part[rows.start : rows.stop] for part in batch))


def join_rows(batches: list[Batch]) -> Batch:
    """Concatenate batches along the rows."""
    return batches[0] if len(batches) == 1 else Batch(*(np.concatenate(parts) for parts in zip(*batches, strict=True)))


def split_rows(rows: Batch, size: int) -> Iterator[Batch]:
    """Split rows into batches of `size`; the last batch is padded with rows of weight 0 and segment -1.

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
    """Make rows of weight 0 with the length and the positions of `like`."""
    zeros = np.zeros((count, like.tokens.shape[1]), np.int32)
    positions = np.repeat(like.positions[:1], count, axis=0)
    return Batch(zeros, zeros, zeros.astype(np.float32), positions, zeros - 1)


class BatchRequest(NamedTuple):
    """The rows of each batch that a process reads.

    Attributes:
        length: T, the predictions per row.
        batch: B, the rows of the whole batch.
        seed: seed of everything that is sampled.
        rows: the rows that this process reads.
    """

    length: int
    batch: int
    seed: int
    rows: range


class Stream:
    """Base class of endless, resumable streams of batches.

    Attributes:
        identity: names the data, with its version or contents.
        facts: everything that a state depends on.
        batches: the number of batches returned so far.
    """

    def __init__(self, identity: str, want: BatchRequest, **facts: Any) -> None:
        self.identity, self.want, self.batches = identity, want, 0
        self.facts = {"data": identity, "length": want.length, "batch": want.batch, "seed": want.seed} | facts

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Return the position in the stream, as a small JSON-serialisable object."""
        return {"of": dict(self.facts), "batches": self.batches, "lanes": {}}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the state of a stream of the same settings, which may have returned other rows.

        Raises:
            ValueError: if the state belongs to other data or sizes, naming the differences.
        """
        theirs = state["of"]
        differ = [k for k in self.facts if theirs.get(k) != self.facts[k]]
        if differ:
            differences = "; ".join(f"{k} was {theirs.get(k)!r} and is {self.facts[k]!r}" for k in differ)
            raise ValueError(f"the state is of another stream: {differences}. Restore these settings or start anew")
        self.batches = state["batches"]
