"""What streams of all kinds share: which batches are wanted, and a state that only fits the stream it came from."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ropelab.data.batch import Batch


class Wanted(NamedTuple):
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


def wanted(length: int, batch: int, seed: int, rows: slice | range | None) -> Wanted:
    """The same, checked.

    Raises:
        ValueError: for sizes below 1, a negative seed, or rows that are not neighbours or not of the batch.
    """
    if length < 1 or batch < 1 or seed < 0:
        raise ValueError(f"length={length}, batch={batch}, seed={seed}: give at least 1, 1 and 0")
    found = range(*rows.indices(batch)) if isinstance(rows, slice) else range(batch) if rows is None else rows
    if found.step != 1 or not 0 <= found.start < found.stop <= batch:
        raise ValueError(f"rows={rows} of a batch of {batch}; give neighbouring rows of it, at least one")
    return Wanted(length, batch, seed, found)


class Resumable:
    """Batches without end.

    Attributes:
        identity: names what is read, with its version or contents.
        facts: all that a state depends on.
        batches: how many were given.
    """

    def __init__(self, identity: str, want: Wanted, **facts: Any) -> None:
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
