"""Windows of documents as batches: some lanes, each a stream of its own, beneath one another.

Of a batch of B rows lane l of n gives rows l B / n up to (l + 1) B / n. A process that holds some rows runs the lanes
they lie in, so that the batch is the same for any number of processes.
"""

import dataclasses
import json
from typing import Any

import numpy as np

from ropelab.data.batch import Batch, from_windows, join, take
from ropelab.data.documents import Documents
from ropelab.data.pipeline import Lane, lane_windows
from ropelab.data.resuming import Resumable, Wanted
from ropelab.data.settings import DataSettings
from ropelab.data.tokens import Coder

POSITIONS = 2  # what numbers are drawn for, after those of ropelab.data.pipeline


class TextStream(Resumable):
    """Rows of windows of documents.

    Raises:
        ValueError: if lanes and batch, documents or tokens do not go together.
    """

    def __init__(self, documents: Documents, settings: DataSettings, want: Wanted, text: Coder) -> None:
        settings = dataclasses.replace(settings, lanes=settings.lanes or most(want.batch, len(documents.records)))
        check(documents, settings, want, text)
        kept = {"tokenizer": settings.tokenizer, "packing": settings.packing, "lanes": settings.lanes}
        super().__init__(documents.identity, want, **kept)
        self.settings = settings
        self.share = want.batch // settings.lanes
        sizes = {"window": want.length + 1, "rows": self.share, "seed": want.seed}
        running = range(want.rows.start // self.share, (want.rows.stop - 1) // self.share + 1)
        iterators = {lane: lane_windows(documents, settings, lane=lane, text=text, **sizes) for lane in running}
        self.lanes = {lane: Lane(iterator, self.share, want.length + 1) for lane, iterator in iterators.items()}

    def __next__(self) -> Batch:
        batch = join([self.of_lane(lane) for lane in self.lanes])
        self.batches += 1
        before = min(self.lanes) * self.share
        return take(batch, range(self.want.rows.start - before, self.want.rows.stop - before))

    def of_lane(self, lane: int) -> Batch:
        """The next rows of a lane; positions are drawn from (seed, lane, how many of its rows came before)."""
        windows, segments = next(self.lanes[lane])
        first = self.batches * self.share

        def generator(row: int) -> np.random.Generator:
            return np.random.default_rng([self.want.seed, POSITIONS, lane, first + row])

        positions = self.settings.positions.place(segments[:, :-1], generator)
        return from_windows(windows, segments, positions, self.settings.separate_documents)

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


def most(batch: int, documents: int) -> int:
    """The lanes of a batch that leave each the same number of rows, and at least one document."""
    return max(lanes for lanes in range(1, min(batch, max(documents, 1)) + 1) if batch % lanes == 0)


def check(documents: Documents, settings: DataSettings, want: Wanted, text: Coder) -> None:
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
