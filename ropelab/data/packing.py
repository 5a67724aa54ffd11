"""Windows of documents as batches: some lanes, each a stream of its own, beneath one another.

Of a batch of B rows lane l of n gives rows l B / n up to (l + 1) B / n. A process that holds some rows runs the lanes
they lie in, so that the batch is the same for any number of processes.
"""

import dataclasses
import json
from typing import Any

import grain
import numpy as np
from grain import experimental

from ropelab.data.batch import Batch, join_rows, make_batch, take_rows
from ropelab.data.documents import Documents
from ropelab.data.settings import FIRST_FIT, Coder, DataSettings
from ropelab.data.stream import BatchRequest, Stream

# Documents → windows of T + 1 tokens, with Grain.
#
#     concatenate   the documents one after another, cut every T + 1 tokens: nothing is padded, nothing lost
#     first_fit     each document whole, in the first of some bins with room for it; what is left of a bin is padding.
#                   A document longer than a window is cut every T + 1 tokens first, so that none is left out
#
# Documents come in an order drawn from the seed, another one each epoch, without end: where an epoch ends the next
# begins in the same window (concatenate) or bin (first_fit). Lane l of n reads the documents l, l + n, ... of that
#
# State is small and says where in the order reading stands; to restore it, the last windows are made again. Nothing
# here is prefetched in threads.

_TOKENS = "tokens"
_MIN_BINS = 16  # fewer leave more padding
_SHUFFLE, _BINS = 0, 1  # what numbers are drawn for


def _derive_seed(seed: int, *purpose: int) -> int:
    """A seed of 32 bits; those of neighbouring seeds have nothing in common, where Grain adds the epoch to its own."""
    return int(np.random.SeedSequence([seed, *purpose]).generate_state(1)[0])


class _SplitToWindows(experimental.FlatMapTransform):
    """Cuts a document to pieces that fit into a window."""

    def __init__(self, size: int) -> None:
        self.size = size

    def flat_map(self, element: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        tokens = element[_TOKENS]
        return [{_TOKENS: tokens[i : i + self.size]} for i in range(0, len(tokens), self.size)]


def _iterate_windows(
    documents: Documents, settings: DataSettings, *, window: int, rows: int, lane: int, seed: int, text: Coder
) -> grain.DatasetIterator:
    """An iterator over the windows of a lane, `rows` at a time if they are concatenated and one by one if not."""

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
            parts.append((element[_TOKENS], element[f"{_TOKENS}_segment_ids"]))
        tokens, segments = (np.concatenate(p).reshape(self.rows, self.window) for p in zip(*parts, strict=True))
        return tokens, segments - segments[:, :1]

    def state(self) -> dict[str, Any]:
        return self.iterator.get_state()

    def restore(self, state: dict[str, Any]) -> None:
        self.iterator.set_state(_to_tuples(state))


def _to_tuples(state: Any) -> Any:
    """A state as Grain made it: what JSON calls a list was a tuple, and Grain compares with tuples."""
    if isinstance(state, dict):
        return {key: _to_tuples(value) for key, value in state.items()}
    return tuple(_to_tuples(v) for v in state) if isinstance(state, list | tuple) else state


_POSITIONS = 2  # what numbers are drawn for, after those of ropelab.data.packing


class TextStream(Stream):
    """Rows of windows of documents.

    Raises:
        ValueError: if lanes and batch, documents or tokens do not go together.
    """

    def __init__(self, documents: Documents, settings: DataSettings, want: BatchRequest, text: Coder) -> None:
        settings = dataclasses.replace(
            settings, lanes=settings.lanes or choose_lanes(want.batch, len(documents.records))
        )
        _check(documents, settings, want, text)
        kept = {"tokenizer": settings.tokenizer, "packing": settings.packing, "lanes": settings.lanes}
        super().__init__(documents.identity, want, **kept)
        self.settings = settings
        self.share = want.batch // settings.lanes
        sizes = {"window": want.length + 1, "rows": self.share, "seed": want.seed}
        running = range(want.rows.start // self.share, (want.rows.stop - 1) // self.share + 1)
        iterators = {lane: _iterate_windows(documents, settings, lane=lane, text=text, **sizes) for lane in running}
        self.lanes = {lane: _Lane(iterator, self.share, want.length + 1) for lane, iterator in iterators.items()}

    def __next__(self) -> Batch:
        batch = join_rows([self.of_lane(lane) for lane in self.lanes])
        self.batches += 1
        before = min(self.lanes) * self.share
        return take_rows(batch, range(self.want.rows.start - before, self.want.rows.stop - before))

    def of_lane(self, lane: int) -> Batch:
        """The next rows of a lane; positions are drawn from (seed, lane, how many of its rows came before)."""
        windows, segments = next(self.lanes[lane])
        first = self.batches * self.share

        def generator(row: int) -> np.random.Generator:
            return np.random.default_rng([self.want.seed, _POSITIONS, lane, first + row])

        positions = self.settings.positions.place(segments[:, :-1], generator)
        return make_batch(windows, segments, positions, self.settings.separate_documents)

    def state(self) -> dict[str, Any]:
        """Where each lane that runs here stands."""
        lanes = {str(number): lane.state() for number, lane in self.lanes.items()}
        return super().state() | {"lanes": json.loads(json.dumps(lanes))}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to where a stream of the same settings stood.

        Raises:
            ValueError: if the state is of another stream, or lacks a lane that runs here.
        """
        missing = [lane for lane in self.lanes if str(lane) not in state["lanes"]]
        if missing:
            raise ValueError(f"the state is of lanes {', '.join(state['lanes'])}; lanes {missing} run here as well")
        super().restore(state)
        for number, lane in self.lanes.items():
            lane.restore(state["lanes"][str(number)])


def choose_lanes(batch: int, documents: int) -> int:
    """The lanes of a batch that leave each the same number of rows, and at least one document."""
    return max(lanes for lanes in range(1, min(batch, max(documents, 1)) + 1) if batch % lanes == 0)


def _check(documents: Documents, settings: DataSettings, want: BatchRequest, text: Coder) -> None:
    """Raise `ValueError` unless each lane has rows and documents, and there are tokens for a window."""
    lanes, count = settings.lanes, len(documents.records)
    if want.batch % lanes:
        raise ValueError(f"batch={want.batch} is no multiple of lanes={lanes}; give each lane as many rows")
    if count < lanes:
        raise ValueError(
            f"lanes={lanes}, but {documents.identity} has {count} documents and a lane needs one; give lanes=1"
        )
    total = 0
    for index in range(count):
        total += len(text.document(documents.text(index)))
        if total > want.length:
            return
    raise ValueError(
        f"{documents.identity} has {total} tokens, fewer than a window of {want.length + 1}; shorten length, or give "
        "more text"
    )
