"""What training holds: batches without end that are a function of (settings, length, batch, seed) and nothing else."""

from collections.abc import Iterator
from typing import Any, Protocol

from ropelab.data.batch import Batch
from ropelab.data.documents import open_documents
from ropelab.data.preparing import quietly
from ropelab.data.resuming import wanted
from ropelab.data.settings import DataSettings
from ropelab.data.synthetic import TaskStream, task_of
from ropelab.data.tokens import Tokenizer, coder


class Stream(Protocol):
    """Batches without end, and where they stand."""

    @property
    def identity(self) -> str:
        """Names what is read, with its version or contents."""
        ...

    def __next__(self) -> Batch: ...

    def __iter__(self) -> Iterator[Batch]: ...

    def state(self) -> dict[str, Any]:
        """Small and made of what JSON knows: after n batches, what makes a new stream give batch n + 1."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go to where a stream of the same settings stood; `ValueError` for a state of another."""
        ...


def open_stream(
    settings: DataSettings,
    *,
    length: int,
    batch: int,
    seed: int,
    rows: slice | range | None = None,
    tokenizer: Tokenizer | None = None,
) -> Stream:
    """The batches that these settings mean, or some rows of them; what is not prepared yet is prepared.

    Args:
        settings: what to read and how.
        length: T, the predictions of a row.
        batch: B, the rows of the whole batch.
        seed: of the order of documents, of drawn positions and of made-up tasks.
        rows: those wanted here, neighbours; all if None.
        tokenizer: the model's, for settings that want it.

    Raises:
        ValueError: if there is no such data, or it does not make such batches.
    """
    want = wanted(length, batch, seed, rows)
    settings.positions.check(length)
    text = coder(settings.tokenizer, tokenizer)
    task = task_of(settings.source)
    if task is not None:
        return TaskStream(task, settings, want, text)
    documents = open_documents(settings, settings.split)
    with quietly():  # Grain warns about what it would profile with another jaxlib
        from ropelab.data.lanes import TextStream

    return TextStream(documents, settings, want, text)
