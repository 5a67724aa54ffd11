"""What training holds: batches without end that are a function of (settings, length, batch, seed) and nothing else.

A batch of B rows is made of `lanes` streams, lane l giving rows l B / lanes up to (l + 1) B / lanes. A process that
holds some rows runs the lanes they lie in, so that the batch is the same for any number of processes.
"""

import copy
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from ropelab.data.batch import Batch, from_windows, join, take
from ropelab.data.documents import Documents, open_documents
from ropelab.data.settings import DataSettings
from ropelab.data.tokens import Coder, Tokenizer, coder

POSITIONS = 2  # what numbers are drawn for, after those of ropelab.data.pipeline


class Stream(Protocol):
    """Batches without end, and where they stand."""

    identity: str

    def __next__(self) -> Batch: ...

    def __iter__(self) -> Iterator[Batch]: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


def open_stream(
    settings: DataSettings,
    *,
    length: int,
    batch: int,
    seed: int,
    rows: slice | range | None = None,
    tokenizer: Tokenizer | None = None,
) -> Stream:
    """The rows of the batches that these settings mean.

    Args:
        settings: what to read and how.
        length: T, the predictions of a row.
        batch: B, the rows of the whole batch.
        seed: of the order of documents and of drawn positions.
        rows: those wanted here, neighbours; all if None.
        tokenizer: the model's, for settings that want it.

    Raises:
        ValueError: if there is no such data, or it does not make such batches.
    """
    wanted = chosen(rows, batch)
    if batch % settings.lanes:
        raise ValueError(f"batch={batch} is not a multiple of lanes={settings.lanes}; give as many rows to each lane")
    settings.positions.check(length)
    documents = open_documents(settings, settings.split)
    return TextStream(
        documents, settings, length=length, batch=batch, seed=seed, rows=wanted,
        text=coder(settings.tokenizer, tokenizer),
    )  # fmt: skip


def chosen(rows: slice | range | None, batch: int) -> range:
    """The rows as a range.

    Raises:
        ValueError: if they are not neighbours, or not rows of the batch.
    """
    wanted = range(*rows.indices(batch)) if isinstance(rows, slice) else range(batch) if rows is None else rows
    if wanted.step != 1 or not 0 <= wanted.start < wanted.stop <= batch:
        raise ValueError(f"rows={rows} of a batch of {batch}; give neighbouring rows, at least one")
    return wanted


class TextStream:
    """Windows of documents."""

    def __init__(
        self,
        documents: Documents,
        settings: DataSettings,
        *,
        length: int,
        batch: int,
        seed: int,
        rows: range,
        text: Coder,
    ) -> None:
        from ropelab.data import pipeline

        self.settings, self.rows, self.seed, self.identity = settings, rows, seed, documents.identity
        self.share = batch // settings.lanes
        self.batches = 0
        self.lanes = {
            lane: pipeline.Lane(
                pipeline.lane_windows(
                    documents, settings, window=length + 1, rows=self.share, lane=lane, seed=seed, coder=text
                ),
                self.share,
                length + 1,
            )
            for lane in range(rows.start // self.share, (rows.stop - 1) // self.share + 1)
        }

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        parts = join([self.of_lane(lane) for lane in self.lanes])
        self.batches += 1
        before = min(self.lanes) * self.share
        return take(parts, range(self.rows.start - before, self.rows.stop - before))

    def of_lane(self, lane: int) -> Batch:
        """The next rows of a lane, positions drawn from (seed, lane, how many rows came before)."""
        windows, segments = next(self.lanes[lane])

        def generator(row: int) -> np.random.Generator:
            return np.random.default_rng([self.seed, POSITIONS, lane, self.batches * self.share + row])

        positions = self.settings.positions.place(segments[:, :-1], generator)
        return from_windows(windows, segments, positions, self.settings.separate_documents)

    def state(self) -> dict[str, Any]:
        """Small and made of what JSON knows."""
        lanes = {str(lane): copy.deepcopy(stream.state()) for lane, stream in self.lanes.items()}
        return {"identity": self.identity, "batches": self.batches, "lanes": lanes}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to where a stream of the same settings stood.

        Raises:
            ValueError: if the state is of other data, or lacks a lane.
        """
        if state["identity"] != self.identity:
            raise ValueError(f"the state is of {state['identity']}, the data here is {self.identity}")
        missing = [lane for lane in self.lanes if str(lane) not in state["lanes"]]
        if missing:
            raise ValueError(f"the state has lanes {', '.join(state['lanes'])} and lacks {missing}")
        for lane, stream in self.lanes.items():
            stream.restore(state["lanes"][str(lane)])
        self.batches = state["batches"]
