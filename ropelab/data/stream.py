"""What training holds: batches without end that are a function of (settings, length, batch, seed) and nothing else."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from ropelab.data.batch import Batch
from ropelab.data.documents import open_documents, silence_output
from ropelab.data.settings import Coder, DataSettings, Tokenizer, make_coder
from ropelab.data.synthetic import TRAIN, make_examples, parse_task
from ropelab.data.tasks import Task

# What streams of all kinds share: which batches are wanted, and a state that only fits the stream it came from.


class BatchRequest(NamedTuple):
    """Which rows of which batches.

    Attributes:
        length: T, the predictions of a row.
        batch: B, the rows of the whole batch.
        seed: of all that is drawn.
        rows: those given here.
    """

    length: int
    batch: int
    seed: int
    rows: range


def _make_request(length: int, batch: int, seed: int, rows: slice | range | None) -> BatchRequest:
    """The same, checked.

    Raises:
        ValueError: for sizes below 1, a negative seed, or rows that are not neighbours or not of the batch.
    """
    if length < 1 or batch < 1 or seed < 0:
        raise ValueError(f"length={length}, batch={batch}, seed={seed}: give at least 1, 1 and 0")
    found = range(*rows.indices(batch)) if isinstance(rows, slice) else range(batch) if rows is None else rows
    if found.step != 1 or not 0 <= found.start < found.stop <= batch:
        raise ValueError(f"rows={rows} of a batch of {batch}; give neighbouring rows of it, at least one")
    return BatchRequest(length, batch, seed, found)


class Resumable:
    """Batches without end.

    Attributes:
        identity: names what is read, with its version or contents.
        facts: all that a state depends on.
        batches: how many were given.
    """

    def __init__(self, identity: str, want: BatchRequest, **facts: Any) -> None:
        self.identity, self.want, self.batches = identity, want, 0
        self.facts = {"data": identity, "length": want.length, "batch": want.batch, "seed": want.seed} | facts

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Where the stream stands, small and made of what JSON knows."""
        return {"of": dict(self.facts), "batches": self.batches, "lanes": {}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to where a stream of the same settings stood, which may have given other rows.

        Raises:
            ValueError: if the state is not of these data and sizes, naming what differs.
        """
        theirs = state["of"]
        differ = [k for k in self.facts if theirs.get(k) != self.facts[k]]
        if differ:
            told = "; ".join(f"{k} was {theirs.get(k)!r} and is {self.facts[k]!r}" for k in differ)
            raise ValueError(f"the state is of another stream: {told}. Bring it back, or begin anew")
        self.batches = state["batches"]


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
    want = _make_request(length, batch, seed, rows)
    settings.positions.check(length)
    text = make_coder(settings.tokenizer, tokenizer)
    task = parse_task(settings.source)
    if task is not None:
        return TaskStream(task, settings, want, text)
    documents = open_documents(settings, settings.split)
    with silence_output():  # Grain warns about what it would profile with another jaxlib
        from ropelab.data.packing import TextStream

    return TextStream(documents, settings, want, text)


class TaskStream(Resumable):
    """Rows of a task's examples.

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
        return make_examples(
            self.task, self.settings.positions, numbers, self.want.length, (self.want.seed, TRAIN), self.text
        )
