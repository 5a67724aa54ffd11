"""Endless streams of training batches, each determined by (settings, length, batch, seed) and nothing else.

A stream's state is small and JSON-serialisable: after n batches it makes a new stream return batch n + 1. It only fits
a stream of the same data and sizes, but may be restored in a process that reads other rows.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ropelab.data.batch import Batch
from ropelab.data.documents import open_documents, silence_output
from ropelab.data.settings import Coder, DataSettings, Tokenizer, make_coder
from ropelab.data.synthetic import TRAIN, make_examples, parse_task
from ropelab.data.tasks import Task


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


class TaskStream(Stream):
    """Examples of a synthetic task.

    Raises:
        ValueError: if no example fits into the window.
    """

    def __init__(self, task: Task, settings: DataSettings, want: BatchRequest, text: Coder) -> None:
        task.check(want.length + 1, text)
        super().__init__(repr(task), want, tokenizer=settings.tokenizer)
        self.task, self.settings, self.text = task, settings, text

    def __next__(self) -> Batch:
        first = self.batches * self.want.batch
        numbers = range(first + self.want.rows.start, first + self.want.rows.stop)
        self.batches += 1
        seed = (self.want.seed, TRAIN)
        return make_examples(self.task, self.settings.positions, numbers, self.want.length, seed, self.text)


def open_stream(
    settings: DataSettings,
    *,
    length: int,
    batch: int,
    seed: int,
    rows: slice | range | None = None,
    tokenizer: Tokenizer | None = None,
) -> Stream:
    """Open the stream of batches that the settings describe, preparing the data first if needed.

    Args:
        settings: the data and how its documents become windows.
        length: T, the predictions per row.
        batch: B, the rows of the whole batch.
        seed: seed of the order of documents, of sampled positions and of synthetic tasks.
        rows: a contiguous part of the rows of each batch; all rows if None.
        tokenizer: the model's tokenizer, for settings with tokenizer="model".

    Raises:
        ValueError: if there is no such data, or it does not yield such batches.
    """
    want = _make_request(length, batch, seed, rows)
    settings.positions.check(length)
    text = make_coder(settings.tokenizer, tokenizer)
    task = parse_task(settings.source)
    if task is not None:
        return TaskStream(task, settings, want, text)
    documents = open_documents(settings, settings.split)
    with silence_output():  # Grain warns that it cannot profile with another jaxlib
        from ropelab.data.packing import TextStream

    return TextStream(documents, settings, want, text)


def _make_request(length: int, batch: int, seed: int, rows: slice | range | None) -> BatchRequest:
    """Check the sizes and resolve `rows` to a range.

    Raises:
        ValueError: for sizes below 1, a negative seed, or rows that are not contiguous or not in the batch.
    """
    if length < 1 or batch < 1 or seed < 0:
        raise ValueError(f"length={length}, batch={batch}, seed={seed}: use at least 1, 1 and 0")
    span = range(*rows.indices(batch)) if isinstance(rows, slice) else range(batch) if rows is None else rows
    if span.step != 1 or not 0 <= span.start < span.stop <= batch:
        raise ValueError(f"rows={rows} of a batch of {batch}; use at least one row, all of them contiguous")
    return BatchRequest(length, batch, seed, span)
