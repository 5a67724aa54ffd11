"""Perplexity by a window that slides over a text, as ALiBi, PI and YaRN measure it.

    window k reads tokens [k S, min(k S + L, T)) and scores those that no window before it has scored

With stride S < L every token but those of the first window is predicted from at least L - S tokens; with S = L the
windows do not overlap and each begins without context. The last window ends with the text and may be shorter. With a
BOS token in front of every window, which then reads L - 1 tokens of text, the first token of a window is scored too.
Two numbers come of the same losses, and both are in the literature under the name of perplexity:

    by tokens     exp(sum of NLL / tokens scored)                      PI, ALiBi, and everything else here
    by windows    exp(mean over windows of each window's mean NLL)     YaRN's scripts (eval/perplexity.py)

By windows the first window, which scores L - 1 tokens with all degrees of context, weighs as much as one of S tokens.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ropelab.evaluation.perplexity import Score
from ropelab.models.module import Model

TOGETHER = 8192  # tokens of windows that go through the model at once


class Window(NamedTuple):
    """Tokens [start, end) are read, tokens [first, end) are scored."""

    start: int
    end: int
    first: int


class Slid(NamedTuple):
    """What the windows of a text score.

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


def sliding(tokens: int, length: int, stride: int, *, bos: bool = False) -> tuple[Window, ...]:
    """The windows over a text of so many tokens.

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


def slide(
    model: Model,
    tokens_T: np.ndarray,
    *,
    length: int,
    stride: int,
    bos: int | None = None,
    advance: Callable[[int], object] = lambda tokens: None,
) -> Slid:
    """Score a text by windows; a window is read on its own, from position 0 on.

    Args:
        length: tokens of a window, BOS among them.
        bos: the token that stands before every window, if there is one.
        advance: told how many tokens were scored, as they are.
    """
    before = [] if bos is None else [bos]
    windows = sliding(tokens_T.size, length - len(before), stride, bos=bool(before))
    nll = np.full(tokens_T.size, np.nan, np.float32)
    for together in batches(windows):
        rows = np.stack([np.concatenate([before, tokens_T[w.start : w.end]]).astype(np.int32) for w in together])
        losses = np.concatenate(list(model.nll_in_parts(rows)), axis=1)
        for window, row in zip(together, losses, strict=True):
            nll[window.first : window.end] = row[window.first - window.end :]
            advance(window.end - window.first)
    return Slid(windows, nll)


def batches(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Windows of the same length that go through a model together."""
    together: list[Window] = []
    for window in windows:
        size = window.end - window.start
        if together and (size != together[0].end - together[0].start or (len(together) + 1) * size > TOGETHER):
            yield together
            together = []
        together.append(window)
    yield together
