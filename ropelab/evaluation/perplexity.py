"""Negative log likelihood by position, over windows that are the same for every arm and every length.

The protocol: the token stream is cut into documents of the longest length, starting at its beginning and not
overlapping; a shorter length is the beginning of each document. No BOS is added. The first token of a window is
context only; each later token is scored once. Perplexity is exp of the mean NLL over the tokens of a band.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ropelab.models.module import Model


class Band(NamedTuple):
    """Scored tokens whose position lies in [first, last)."""

    name: str
    first: int
    last: int


class Score(NamedTuple):
    """A sum and a count, so that scores of windows and shards add up.

    Attributes:
        nll: summed negative log likelihood in nats.
        tokens: how many were scored.
    """

    nll: float
    tokens: int

    def __add__(self, other: "Score") -> "Score":  # pyright: ignore[reportIncompatibleMethodOverride]
        return Score(self.nll + other.nll, self.tokens + other.tokens)

    @property
    def mean(self) -> float:
        return self.nll / self.tokens

    @property
    def perplexity(self) -> float:
        """exp of the mean; inf where that is more than a float holds."""
        try:
            return math.exp(self.mean)
        except OverflowError:
            return math.inf


def documents(tokens_T: np.ndarray, length: int, count: int) -> np.ndarray:
    """[count, length]: the stream's first documents.

    Raises:
        ValueError: if the text is too short for them.
    """
    if tokens_T.size < length * count:
        raise ValueError(
            f"the text has {tokens_T.size} tokens, {count} window(s) of {length} need {length * count}; "
            "give a longer text, a shorter length or fewer windows"
        )
    return tokens_T[: length * count].reshape(count, length)


def chopped(tokens_T: np.ndarray, window: int) -> Iterator[np.ndarray]:
    """A document as separate pieces of `window` tokens, each beginning with the last token of the one before, so
    that together they score the same tokens as the whole."""
    for start in range(0, tokens_T.size - 1, window - 1):
        yield tokens_T[start : start + window]


def nll_of_document(
    model: Model,
    tokens_T: np.ndarray,
    *,
    window: int | None,
    beginning: np.ndarray | None = None,
    advance: Callable[[int], object],
) -> np.ndarray:
    """float32[T - 1], entry t for token t + 1.

    Args:
        window: read the document in separate pieces of this many tokens; None for one piece.
        beginning: the NLL of the first piece where it is known already.
        advance: told how many tokens were scored, as they are.
    """
    pieces = iter([tokens_T] if window is None else chopped(tokens_T, window))
    parts = []
    if beginning is not None:
        parts.append(beginning[: next(pieces).size - 1])
        advance(parts[0].size)
    for piece in pieces:
        for losses in model.nll_in_parts(piece[None]):
            parts.append(losses[0])
            advance(losses.size)
    return np.concatenate(parts)


def bands(edges: tuple[int, ...], length: int, last: int) -> list[Band]:
    """All positions, each interval between two edges below `length`, and the last `last` positions."""
    inner = sorted({e for e in edges if 1 < e < length})  # position 0 alone would be a band without scored tokens
    ends = list(zip([0, *inner], [*inner, length], strict=True))
    parts = [Band(f"[{first}, {end})", first, end) for first, end in ends] if len(ends) > 1 else []
    tail = [Band(f"last {last}", length - last, length)] if last < length else []
    return [Band("all", 0, length), *parts, *tail]


def score(nll_T: np.ndarray, band: Band) -> Score:
    """The band's share of a document; position 0 is never scored."""
    inside = nll_T[max(band.first - 1, 0) : band.last - 1].astype(np.float64)
    return Score(float(inside.sum()), inside.size)
