"""Endless streams of training batches, each determined by (settings, length, batch, seed) and nothing else."""

from ropelab.data.batch import Batch, BatchRequest, Stream
from ropelab.data.documents import open_documents
from ropelab.data.files import silence_output
from ropelab.data.settings import Coder, DataSettings, Tokenizer, make_coder
from ropelab.data.synthetic import TRAIN, make_examples, parse_task
from ropelab.data.tasks import Task


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
