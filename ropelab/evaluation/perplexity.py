"""Negative log likelihood of texts: by position, in sliding windows, and of the tokens that need a long context.

By position, the token stream is split into documents of the longest length, from its beginning and without overlap; a
shorter length is the beginning of each document. No BOS is added. The first token of a document is context only; each
later token is scored once. Perplexity is exp of the mean NLL over the tokens of a band.

In sliding windows (ALiBi, PI, YaRN), window k reads tokens [k S, min(k S + L, T)) and scores those that no window
before it has scored. With stride S < L every token but those of the first window has at least L - S tokens of context;
with S = L the windows do not overlap. The last window ends with the text and may be shorter. With a BOS token in front
of every window, which then reads L - 1 tokens of text, the first token of a window is scored too. The literature calls
two numbers of the same losses perplexity:

    by tokens     exp(sum of NLL / tokens scored)                      PI, ALiBi, and everything else here
    by windows    exp(mean over windows of each window's mean NLL)     YaRN's scripts (eval/perplexity.py)

By windows the first window, which scores L - 1 tokens with all degrees of context, weighs as much as one of S tokens.

LongPPL (Fang et al., arXiv 2410.23771; PKU-ML/LongPPL, 1decd2a) is the perplexity of key tokens only:

    key tokens   { t : short_t - full_t > alpha  and  full_t < -beta },   alpha = 2, beta = -2
    LongPPL      exp(mean of full_t over the key tokens)

full_t is the NLL of token t after the whole text before it, short_t after the last `short` to `short + step` tokens;
key tokens begin at `short`. The paper's key tokens come from another model. Here they come from a given evaluator, or
from the measured model itself, which needs no second model and is not the paper's number.
"""

import math
from collections.abc import Callable, Iterator, Sequence
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


def split_documents(tokens_T: np.ndarray, length: int, count: int) -> np.ndarray:
    """Return the first documents of a token stream, [count, length].

    Raises:
        ValueError: if the text is too short for them.
    """
    if tokens_T.size < length * count:
        raise ValueError(
            f"the text has {tokens_T.size} tokens, {count} window(s) of {length} need {length * count}; "
            "give a longer text, a shorter length or fewer windows"
        )
    return tokens_T[: length * count].reshape(count, length)


def split_into_windows(tokens_T: np.ndarray, window: int) -> Iterator[np.ndarray]:
    """Split a document into pieces of `window` tokens, each beginning with the last token of the one before, so
    that together they score the same tokens as the whole."""
    for start in range(0, tokens_T.size - 1, window - 1):
        yield tokens_T[start : start + window]


def document_nll(
    model: Model,
    tokens_T: np.ndarray,
    *,
    window: int | None,
    beginning: np.ndarray | None = None,
    advance: Callable[[int], object],
) -> np.ndarray:
    """Return float32[T - 1], entry t for token t + 1.

    Args:
        window: read the document in separate pieces of this many tokens; None for one piece.
        beginning: the NLL of the first piece where it is known already.
        advance: called with numbers of scored tokens.
    """
    pieces = iter([tokens_T] if window is None else split_into_windows(tokens_T, window))
    parts = []
    if beginning is not None:
        parts.append(beginning[: next(pieces).size - 1])
        advance(parts[0].size)
    for piece in pieces:
        for losses in model.nll_in_parts(piece[None]):
            parts.append(losses[0])
            advance(losses.size)
    return np.concatenate(parts)


def make_bands(edges: tuple[int, ...], length: int, last: int) -> list[Band]:
    """Return all positions, each interval between two edges below `length`, and the last `last` positions."""
    inner = sorted({e for e in edges if 1 < e < length})  # position 0 alone would be a band without scored tokens
    ends = list(zip([0, *inner], [*inner, length], strict=True))
    parts = [Band(f"[{first}, {end})", first, end) for first, end in ends] if len(ends) > 1 else []
    tail = [Band(f"last {last}", length - last, length)] if last < length else []
    return [Band("all", 0, length), *parts, *tail]


def score_band(nll_T: np.ndarray, band: Band) -> Score:
    """Sum the losses of a band of a document; position 0 is never scored."""
    inside = nll_T[max(band.first - 1, 0) : band.last - 1].astype(np.float64)
    return Score(float(inside.sum()), inside.size)


TOKENS_PER_BATCH = 8192  # tokens of windows that go through the model at once


class Window(NamedTuple):
    """Tokens [start, end) are read, tokens [first, end) are scored."""

    start: int
    end: int
    first: int


class WindowScores(NamedTuple):
    """The losses of a text in windows.

    Attributes:
        windows: in order.
        nll: float32[T], of each token that was scored; NaN of the first, and if S = L of every window's, without BOS.
    """

    windows: tuple[Window, ...]
    nll: np.ndarray

    @property
    def by_tokens(self) -> Score:
        scored = self.nll[np.isfinite(self.nll)].astype(np.float64)
        return Score(float(scored.sum()), scored.size)

    @property
    def window_means(self) -> np.ndarray:
        """f64[windows], in nats."""
        return np.asarray([self.nll[w.first : w.end].mean(dtype=np.float64) for w in self.windows])

    @property
    def by_windows(self) -> float:
        """The perplexity of YaRN's scripts."""
        return math.exp(float(self.window_means.mean()))


def sliding_windows(tokens: int, length: int, stride: int, *, bos: bool = False) -> tuple[Window, ...]:
    """Return the windows over a text of so many tokens.

    Args:
        length: tokens of text in a window.
        bos: whether something stands before each window, so that its first token can be scored.

    Raises:
        ValueError: for a stride below 1 or above the length, and a length or a text without two tokens.
    """
    if not 1 <= stride <= length or length < 2 or tokens < 2:
        raise ValueError(
            f"a window of {length} tokens that moves by {stride} over a text of {tokens}: the window and the text need "
            "2 tokens at least, and the stride is 1 to the length"
        )
    found, scored = [], 0
    for start in range(0, tokens, stride):
        end = min(start + length, tokens)
        first = max(scored, start + (not bos))
        if first < end:
            found.append(Window(start, end, first))
        scored = end
        if end == tokens:
            break
    return tuple(found)


def score_windows(
    model: Model,
    tokens_T: np.ndarray,
    *,
    length: int,
    stride: int,
    bos: int | None = None,
    advance: Callable[[int], object] = lambda tokens: None,
) -> WindowScores:
    """Score a text in windows, each read on its own from position 0.

    Args:
        length: tokens of a window, BOS among them.
        bos: the token that stands before every window, if there is one.
        advance: called with numbers of scored tokens.
    """
    before = [] if bos is None else [bos]
    windows = sliding_windows(tokens_T.size, length - len(before), stride, bos=bool(before))
    nll = np.full(tokens_T.size, np.nan, np.float32)
    for together in batch_windows(windows):
        rows = np.stack([np.concatenate([before, tokens_T[w.start : w.end]]).astype(np.int32) for w in together])
        losses = np.concatenate(list(model.nll_in_parts(rows)), axis=1)
        for window, row in zip(together, losses, strict=True):
            nll[window.first : window.end] = row[window.first - window.end :]
            advance(window.end - window.first)
    return WindowScores(windows, nll)


def batch_windows(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Group windows of the same length into batches."""
    together: list[Window] = []
    for window in windows:
        size = window.end - window.start
        if together and (size != together[0].end - together[0].start or (len(together) + 1) * size > TOKENS_PER_BATCH):
            yield together
            together = []
        together.append(window)
    yield together


SHORT, STEP = 4096, 1024
ALPHA, BETA = 2.0, -2.0


class LongPerplexity(NamedTuple):
    """A text's scores.

    Attributes:
        key: of the key tokens; its count is 0 if there are none.
        candidates: how many tokens could have been key tokens.
    """

    key: Score
    candidates: int

    @property
    def perplexity(self) -> float:
        """exp of the mean; NaN without key tokens."""
        return self.key.perplexity if self.key.tokens else math.nan


def find_key_tokens(full_T: np.ndarray, short_T: np.ndarray, *, alpha: float = ALPHA, beta: float = BETA) -> np.ndarray:
    """Return bool[T]: tokens that a long context predicts and a short one does not; never where `short_T` is NaN."""
    with np.errstate(invalid="ignore"):
        return (short_T - full_T > alpha) & (full_T < -beta)


def short_context_nll(
    model: Model, tokens_T: np.ndarray, *, short: int, step: int, advance: Callable[[int], object]
) -> np.ndarray:
    """float32[T]: each token's NLL after `short` to `short + step - 1` tokens; NaN before token `short`."""
    found = score_windows(model, tokens_T, length=short + step, stride=step, advance=advance).nll.copy()
    found[:short] = np.nan
    return found


def long_perplexity(
    model: Model,
    tokens_T: np.ndarray,
    *,
    evaluator: Model | None = None,
    short: int = SHORT,
    step: int = STEP,
    alpha: float = ALPHA,
    beta: float = BETA,
    advance: Callable[[int], object] = lambda tokens: None,
) -> LongPerplexity:
    """Compute LongPPL of one text.

    Args:
        evaluator: finds the key tokens; the model itself if not given.
        short, step: tokens of the short context, and how many tokens share one.
        advance: called with numbers of scored tokens.

    Raises:
        ValueError: for a text with no token beyond the short context.
    """
    if tokens_T.size <= short:
        raise ValueError(f"the text has {tokens_T.size} tokens; LongPPL judges those beyond the first short={short}")
    first = np.full(1, np.nan, np.float32)
    own = np.concatenate([first, document_nll(model, tokens_T, window=None, advance=advance)])
    judge = evaluator or model
    full = own if evaluator is None else np.concatenate(
        [first, document_nll(judge, tokens_T, window=None, advance=advance)]
    )  # fmt: skip
    shorter = short_context_nll(judge, tokens_T, short=short, step=step, advance=advance)
    key = find_key_tokens(full, shorter, alpha=alpha, beta=beta)
    scored = own[key].astype(np.float64)
    return LongPerplexity(Score(float(scored.sum()), scored.size), tokens_T.size - short)
