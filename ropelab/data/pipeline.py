"""Documents → windows of T + 1 tokens, with Grain.

    concatenate   the documents one after another, cut every T + 1 tokens: nothing is padded, nothing lost
    first_fit     each document whole, in the first of some bins with room for it; what is left of a bin is padding.
                  A document longer than a window is cut every T + 1 tokens first, so that none is left out

Documents come in an order drawn from the seed, another one each epoch, without end: where an epoch ends the next begins
in the same window (concatenate) or bin (first_fit). Lane l of n reads the documents l, l + n, ... of that order.

State is small and says where in the order reading stands; to restore it, the last windows are made again. Nothing here
is prefetched in threads.
"""

from typing import Any

import grain
import numpy as np
from grain import experimental

from ropelab.data.documents import Documents
from ropelab.data.settings import FIRST_FIT, DataSettings
from ropelab.data.tokens import Coder

TOKENS = "tokens"
FEWEST_BINS = 16  # fewer leave more padding
SHUFFLE, BINS = 0, 1  # what numbers are drawn for


def drawn(seed: int, *purpose: int) -> int:
    """A seed of 32 bits; those of neighbouring seeds have nothing in common, where Grain adds the epoch to its own."""
    return int(np.random.SeedSequence([seed, *purpose]).generate_state(1)[0])


class Pieces(experimental.FlatMapTransform):
    """Cuts a document to pieces that fit into a window."""

    def __init__(self, size: int) -> None:
        self.size = size

    def flat_map(self, element: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        tokens = element[TOKENS]
        return [{TOKENS: tokens[i : i + self.size]} for i in range(0, len(tokens), self.size)]


def lane_windows(
    documents: Documents, settings: DataSettings, *, window: int, rows: int, lane: int, seed: int, text: Coder
) -> grain.DatasetIterator:
    """An iterator over the windows of a lane, `rows` at a time if they are concatenated and one by one if not."""

    def tokens(record: Any) -> dict[str, np.ndarray]:
        return {TOKENS: text.document(record[documents.feature])}

    order = grain.MapDataset.source(documents.records).shuffle(seed=drawn(seed, SHUFFLE))
    texts = order[lane :: settings.lanes].repeat().map(tokens)
    texts = texts.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
    if settings.packing == FIRST_FIT:
        pieces = experimental.FlatMapIterDataset(texts, Pieces(window))
        bins = max(rows, FEWEST_BINS)
        packed = experimental.FirstFitPackIterDataset(
            pieces, length_struct={TOKENS: window}, num_packing_bins=bins, seed=drawn(seed, BINS, lane)
        )
        return iter(packed)
    return iter(experimental.ConcatThenSplitIterDataset(texts, length_struct={TOKENS: rows * window}))


class Lane:
    """One of the streams that a batch is made of: `rows` windows of it at each step."""

    def __init__(self, windows: grain.DatasetIterator, rows: int, window: int) -> None:
        self.iterator, self.rows, self.window = windows, rows, window

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and segments i32[rows, window]; segments from 0 in each row, padding -1.

        Grain counts from 1 and pads with 0; a row that has padding begins with its first document.
        """
        parts = []
        while sum(tokens.size for tokens, _ in parts) < self.rows * self.window:
            element = next(self.iterator)
            parts.append((element[TOKENS], element[f"{TOKENS}_segment_ids"]))
        tokens, segments = (np.concatenate(p).reshape(self.rows, self.window) for p in zip(*parts, strict=True))
        return tokens, segments - segments[:, :1]

    def state(self) -> dict[str, Any]:
        return self.iterator.get_state()

    def restore(self, state: dict[str, Any]) -> None:
        self.iterator.set_state(tuples(state))


def tuples(state: Any) -> Any:
    """A state as Grain made it: what JSON calls a list was a tuple, and Grain compares with tuples."""
    if isinstance(state, dict):
        return {key: tuples(value) for key, value in state.items()}
    return tuple(tuples(v) for v in state) if isinstance(state, list | tuple) else state
