"""Packing of documents into windows of T + 1 tokens, with Grain.

    concatenate   documents are concatenated and cut every T + 1 tokens: there is no padding, and no token is lost
    first_fit     each document goes whole into the first of several bins that has room; the rest of a bin is padding.
                  Documents longer than a window are first cut every T + 1 tokens, so that none is left out

Documents come in an order that is sampled from the seed, another one in each epoch, without end: the next epoch begins
in the same window (concatenate) or bin (first_fit) in which the last one ends.

A batch of B rows is made of n lanes, which are independent streams: lane l reads the documents l, l + n, ... of the
order and returns the rows l B / n up to (l + 1) B / n. A process that holds some of the rows runs only their lanes, so
the batch does not depend on the number of processes.

The state is small and says how far each lane has read; restoring it makes the last windows again. Nothing is prefetched
in threads.
"""

import dataclasses
import json
from typing import Any

import grain
import numpy as np
from grain import experimental

from ropelab.data.batch import Batch, BatchRequest, Stream, join_rows, make_batch, take_rows
from ropelab.data.documents import Documents
from ropelab.data.settings import FIRST_FIT, Coder, DataSettings

_TOKENS = "tokens"
_MIN_BINS = 16  # fewer leave more padding
_SHUFFLE, _BINS, _POSITIONS = range(3)  # purposes of random numbers, part of their seeds


def _derive_seed(seed: int, *purpose: int) -> int:
    """Derive an independent 32-bit seed; Grain adds the epoch to its seed, so adjacent seeds would share orders."""
    return int(np.random.SeedSequence([seed, *purpose]).generate_state(1)[0])


class _SplitToWindows(experimental.FlatMapTransform):
    """Cuts a document into pieces that fit into a window."""

    def __init__(self, size: int) -> None:
        self.size = size

    def flat_map(self, element: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        tokens = element[_TOKENS]
        return [{_TOKENS: tokens[i : i + self.size]} for i in range(0, len(tokens), self.size)]


def _iterate_windows(
    documents: Documents, settings: DataSettings, *, window: int, rows: int, lane: int, seed: int, text: Coder
) -> grain.DatasetIterator:
    """Iterate over the windows of a lane: `rows` at a time for "concatenate", one by one for "first_fit"."""

    def tokens(record: Any) -> dict[str, np.ndarray]:
        return {_TOKENS: text.document(record[documents.feature])}

    order = grain.MapDataset.source(documents.records).shuffle(seed=_derive_seed(seed, _SHUFFLE))
    texts = order[lane :: settings.lanes].repeat().map(tokens)
    texts = texts.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
    if settings.packing == FIRST_FIT:
        pieces = experimental.FlatMapIterDataset(texts, _SplitToWindows(window))
        bins = max(rows, _MIN_BINS)
        packed = experimental.FirstFitPackIterDataset(
            pieces, length_struct={_TOKENS: window}, num_packing_bins=bins, seed=_derive_seed(seed, _BINS, lane)
        )
        return iter(packed)
    return iter(experimental.ConcatThenSplitIterDataset(texts, length_struct={_TOKENS: rows * window}))


class _Lane:
    """One of the streams that make up a batch; each step returns `rows` of its windows."""

    def __init__(self, windows: grain.DatasetIterator, rows: int, window: int) -> None:
        self.iterator, self.rows, self.window = windows, rows, window

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens and segments i32[rows, window]; segments count from 0 in each row, padding is -1.

        Grain counts from 1 and pads with 0; a row with padding begins with its first document.
        """
        parts = []
        while sum(tokens.size for tokens, _ in parts) < self.rows * self.window:
            element = next(self.iterator)
            parts.append((element[_TOKENS], element[f"{_TOKENS}_segment_ids"]))
        tokens, segments = (np.concatenate(p).reshape(self.rows, self.window) for p in zip(*parts, strict=True))
        return tokens, segments - segments[:, :1]

    def state(self) -> dict[str, Any]:
        return self.iterator.get_state()

    def restore(self, state: dict[str, Any]) -> None:
        self.iterator.set_state(_to_tuples(state))


def _to_tuples(state: Any) -> Any:
    """Convert lists from JSON back to the tuples that Grain compares with."""
    if isinstance(state, dict):
        return {key: _to_tuples(value) for key, value in state.items()}
    return tuple(_to_tuples(v) for v in state) if isinstance(state, list | tuple) else state


class TextStream(Stream):
    """Windows of documents.

    Raises:
        ValueError: if the number of lanes does not fit the batch or the documents, or there is too little text.
    """

    def __init__(self, documents: Documents, settings: DataSettings, want: BatchRequest, text: Coder) -> None:
        settings = dataclasses.replace(
            settings, lanes=settings.lanes or choose_lanes(want.batch, len(documents.records))
        )
        _check(documents, settings, want, text)
        facts = {"tokenizer": settings.tokenizer, "packing": settings.packing, "lanes": settings.lanes}
        super().__init__(documents.identity, want, **facts)
        self.settings = settings
        self.share = want.batch // settings.lanes
        sizes = {"window": want.length + 1, "rows": self.share, "seed": want.seed}
        running = range(want.rows.start // self.share, (want.rows.stop - 1) // self.share + 1)
        iterators = {lane: _iterate_windows(documents, settings, lane=lane, text=text, **sizes) for lane in running}
        self.lanes = {lane: _Lane(iterator, self.share, want.length + 1) for lane, iterator in iterators.items()}

    def __next__(self) -> Batch:
        batch = join_rows([self._read_lane(lane) for lane in self.lanes])
        self.batches += 1
        before = min(self.lanes) * self.share
        return take_rows(batch, range(self.want.rows.start - before, self.want.rows.stop - before))

    def _read_lane(self, lane: int) -> Batch:
        """Return the next rows of a lane; their positions are seeded by (seed, lane, index of the row in the lane)."""
        windows, segments = next(self.lanes[lane])
        first = self.batches * self.share

        def generator(row: int) -> np.random.Generator:
            return np.random.default_rng([self.want.seed, _POSITIONS, lane, first + row])

        positions = self.settings.positions.place(segments[:, :-1], generator)
        return make_batch(windows, segments, positions, self.settings.separate_documents)

    def state(self) -> dict[str, Any]:
        """Return the position in the stream, with the state of each lane of this process."""
        lanes = {str(number): lane.state() for number, lane in self.lanes.items()}
        return super().state() | {"lanes": json.loads(json.dumps(lanes))}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the state of a stream of the same settings.

        Raises:
            ValueError: if the state belongs to another stream, or lacks a lane of this process.
        """
        missing = [lane for lane in self.lanes if str(lane) not in state["lanes"]]
        if missing:
            raise ValueError(f"the state has lanes {', '.join(state['lanes'])}, but this process also runs {missing}")
        super().restore(state)
        for number, lane in self.lanes.items():
            lane.restore(state["lanes"][str(number)])


def choose_lanes(batch: int, documents: int) -> int:
    """Return the largest number of lanes that divides the batch and leaves each lane at least one document."""
    return max(lanes for lanes in range(1, min(batch, max(documents, 1)) + 1) if batch % lanes == 0)


def _check(documents: Documents, settings: DataSettings, want: BatchRequest, text: Coder) -> None:
    """Raise `ValueError` unless each lane has rows and documents, and there are tokens for a window."""
    lanes, count = settings.lanes, len(documents.records)
    if want.batch % lanes:
        raise ValueError(f"batch={want.batch} is not a multiple of lanes={lanes}; change one of them")
    if count < lanes:
        raise ValueError(
            f"lanes={lanes}, but {documents.identity} has only {count} documents, one per lane at most; use lanes=1"
        )
    total = 0
    for index in range(count):
        total += len(text.document(documents.text(index)))
        if total > want.length:
            return
    raise ValueError(
        f"{documents.identity} has {total} tokens, fewer than a window of {want.length + 1}; reduce length or use more "
        "text"
    )
