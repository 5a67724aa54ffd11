"""Tasks on symbols, each about what a position is good for.

    Copy       a b c | a b c end         the token a fixed distance back
    Reverse    a b c | c b a end         a distance that grows by two a step
    AssociativeRecall   k1 v1 k2 v2 k3 v3 | . . k3 v3 . . k1 v1 . .    by content, whatever the distance
    Counting   pass set add add pass ask 2 pass add ask 3              how many of a kind since another

Ids: 0 is the end of an example, 1 the sign `|` (or what stands between questions), symbols come from 2 on; those of
Counting are told there.

Sources: AssociativeRecall is the multi-query task of Arora et al., arXiv 2312.04927, with each key asked once and the
questions at places drawn uniformly; Counting is that of Golovneva et al., arXiv 2405.18719, a token an operation.
"""

import numpy as np

from ropelab.data.tasks import END, FIRST, SIGN, Example, Task
from ropelab.data.tokens import Coder
from ropelab.spec import at_least, require, spec

SET, ADD, ASK = range(3)


@spec
class Repeat(Task):
    """Symbols, a sign, and the same symbols in an order.

    Attributes:
        symbols: how many there are to draw from.
        varied: whether the number of symbols is drawn as well, from 1 to as many as fit; if not, as many as fit.
    """

    symbols: int = 16
    varied: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "symbols")

    @property
    def vocabulary(self) -> int:
        return FIRST + self.symbols

    def shortest(self, text: Coder) -> int:
        return 4

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        count = (window - 2) // 2
        if self.varied:
            count = int(rng.integers(1, count, endpoint=True))
        question = rng.integers(FIRST, FIRST + self.symbols, count)
        tokens = np.concatenate([question, [SIGN], self.answer(question), [END]])
        return Example(tokens, np.arange(len(tokens)) > count)

    def answer(self, question: np.ndarray) -> np.ndarray:
        raise NotImplementedError


@spec
class Copy(Repeat):
    """The symbols once more."""

    def answer(self, question: np.ndarray) -> np.ndarray:
        return question


@spec
class Reverse(Repeat):
    """The symbols once more, from the last to the first."""

    def answer(self, question: np.ndarray) -> np.ndarray:
        return question[::-1]


@spec
class AssociativeRecall(Task):
    """Pairs of a key and a value, then keys, at places that are drawn, whose values are asked.

    Keys are the ids 2 to symbols + 1, values those from there to 2 symbols + 1. Each key is asked once, or as many of
    them as the window has room for.

    Attributes:
        pairs: how many, all keys different.
        symbols: how many keys there are to draw from, and how many values.
    """

    pairs: int = 8
    symbols: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "pairs")
        require(self.pairs <= self.symbols, self, f"pairs={self.pairs} need as many symbols, not {self.symbols}")

    @property
    def vocabulary(self) -> int:
        return FIRST + 2 * self.symbols

    def shortest(self, text: Coder) -> int:
        return 2 * self.pairs + 1 + 2

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        pairs = np.stack([rng.permutation(self.symbols)[: self.pairs], rng.integers(0, self.symbols, self.pairs)], 1)
        pairs += np.array([FIRST, FIRST + self.symbols])
        places = (window - 2 * self.pairs - 1) // 2
        asked = min(self.pairs, places)
        at = np.sort(rng.choice(places, asked, replace=False))
        rest = np.full((places, 2), SIGN)
        rest[at] = pairs[rng.permutation(self.pairs)[:asked]]
        known = np.zeros(2 * self.pairs + 1 + 2 * places, bool)
        known[2 * self.pairs + 1 + 2 * at + 1] = True
        return Example(np.concatenate([pairs.reshape(-1), [SIGN], rest.reshape(-1)]), known)


@spec
class Counting(Task):
    """Counters that are set to 0, added 1 to, passed by, and asked for.

    Ids: 0 passes; 1 + 3 v sets counter v to 0, 2 + 3 v adds 1 to it, 3 + 3 v asks for it and is followed by the
    answer, the id 1 + 3 counters + n for n. All counters begin at 0; one that is at its limit is set instead of added
    to.

    Attributes:
        counters: how many.
        limit: n is below it.
        passing: the share of operations that do nothing; the others are equally likely.
    """

    counters: int = 1
    limit: int = 10
    passing: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "counters")
        at_least(2, self, "limit")
        require(0 <= self.passing < 1, self, f"passing={self.passing} must be a share from 0 to below 1")

    @property
    def vocabulary(self) -> int:
        return 1 + 3 * self.counters + self.limit

    def shortest(self, text: Coder) -> int:
        return 3

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        tokens = np.where(rng.random(window) < self.passing, 0, 1 + rng.integers(0, 3 * self.counters, window)).tolist()
        tokens[-2] = 3 * (1 + int(rng.integers(self.counters)))  # so that something is asked in every window
        known = np.zeros(window, bool)
        counts = [0] * self.counters
        for at in range(window):
            if known[at] or not tokens[at]:
                continue
            counter, does = divmod(tokens[at] - 1, 3)
            if does == ADD and counts[counter] == self.limit - 1:
                tokens[at], does = tokens[at] - ADD, SET
            counts[counter] = {SET: 0, ADD: counts[counter] + 1, ASK: counts[counter]}[does]
            if does == ASK and at + 1 < window:
                tokens[at + 1], known[at + 1] = 1 + 3 * self.counters + counts[counter], True
        return Example(np.array(tokens), known)
