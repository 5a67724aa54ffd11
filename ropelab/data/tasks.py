"""Synthetic tasks on symbols. Each tests one use of positions.

    Copy                a b c | a b c end                           the token at a fixed distance
    Reverse             a b c | c b a end                           a distance that grows by two per step
    Sort                c a b | a b c end                           each output depends on all symbols
    Parity              1 0 1 1 | 1 end                             every symbol counts, at any position
    Addition            3 7 + 4 5 = 8 2 end                         digit by digit; reversed: 7 3 + 5 4 = 2 8 end
    AssociativeRecall   k1 v1 k2 v2 k3 v3 | . . k3 v3 . . k1 v1 . . by content, at any distance
    Counting            pass set add add pass ask 2 pass add ask 3  the number of events since another event
    Index               e b d a c | b +2 a end                      the symbol two places after b
    Needle              x y | 7 3 z w x | 7 3                       the symbols after the sign, at any distance

Example i of a seed and window length is always the same, in every process. An example is one window; the rest of the
window is padding. Only tokens that can be predicted have a loss.

Ids: 0 ends an example, 1 is the sign `|` (or fills the space between queries), symbols begin at 2. Tasks with other ids
document them.

Sources: AssociativeRecall is the multi-query task of Arora et al., arXiv 2312.04927, with each key queried once and the
queries at uniformly random places. Counting is the task of Golovneva et al., arXiv 2405.18719, with one token per
operation. Sort, Parity and Addition follow the length-generalization suites of Kazemnejad et al., arXiv 2305.19466, and
Zhou et al., arXiv 2402.09371, who reverse the digits. Index is the indirect indexing of PoPE, arXiv 2509.10534, with
one token per offset. Needle is the passkey task without words, for distances at which words would be too long.
"""

from typing import NamedTuple

import numpy as np

from ropelab.data.settings import Coder
from ropelab.spec import Spec, at_least, require, spec

_END, _SIGN, _FIRST = 0, 1, 2  # the end of an example, the sign, and the first symbol


class Example(NamedTuple):
    """One window.

    Attributes:
        tokens: i32[N], N at most the window.
        known: bool[N], the tokens that can be predicted from those before them.
    """

    tokens: np.ndarray
    known: np.ndarray


@spec
class Task(Spec):
    """Base class of synthetic tasks."""

    @property
    def vocabulary(self) -> int:
        """The number of token ids."""
        raise NotImplementedError

    def shortest(self, text: Coder) -> int:
        """Return the number of tokens of the shortest window that has room for an example."""
        raise NotImplementedError

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        """Sample an example of at most `window` tokens.

        Args:
            window: at least `shortest(text)`.
            text: converts text to tokens, for tasks that have words.
        """
        raise NotImplementedError

    def check(self, window: int, text: Coder) -> None:
        """Raise `ValueError` if no example fits into windows of this many tokens."""
        least = self.shortest(text)
        require(window >= least, self, f"needs a window of at least {least} tokens, length={least - 1}; got {window}")


_SET, _ADD, _ASK = range(3)


@spec
class Repeat(Task):
    """Symbols, a sign, and the same symbols in an order.

    Attributes:
        symbols: the number of different symbols.
        varied: whether the number of symbols per example is sampled, from 1 to the maximum that fits; if not, it is the
            maximum.
    """

    symbols: int = 16
    varied: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "symbols")

    @property
    def vocabulary(self) -> int:
        return _FIRST + self.symbols

    def shortest(self, text: Coder) -> int:
        return 4

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        count = (window - 2) // 2
        if self.varied:
            count = int(rng.integers(1, count, endpoint=True))
        question = rng.integers(_FIRST, _FIRST + self.symbols, count)
        tokens = np.concatenate([question, [_SIGN], self.answer(question), [_END]])
        return Example(tokens, np.arange(len(tokens)) > count)

    def answer(self, question: np.ndarray) -> np.ndarray:
        """Return the symbols after the sign."""
        raise NotImplementedError


@spec
class Copy(Repeat):
    """Repeat the symbols."""

    def answer(self, question: np.ndarray) -> np.ndarray:
        return question


@spec
class Reverse(Repeat):
    """Repeat the symbols in reverse order."""

    def answer(self, question: np.ndarray) -> np.ndarray:
        return question[::-1]


@spec
class AssociativeRecall(Task):
    """Pairs of a key and a value, then keys at random places whose values are to be predicted.

    Keys are the ids 2 to symbols + 1, values the ids from there to 2 symbols + 1. Each key is queried once; if the
    window is too short, a random subset is.

    Attributes:
        pairs: the number of pairs; their keys are different.
        symbols: the number of different keys, and of different values.
    """

    pairs: int = 8
    symbols: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "pairs")
        require(self.pairs <= self.symbols, self, f"pairs={self.pairs} need as many symbols, not {self.symbols}")

    @property
    def vocabulary(self) -> int:
        return _FIRST + 2 * self.symbols

    def shortest(self, text: Coder) -> int:
        return 2 * self.pairs + 1 + 2

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        pairs = np.stack([rng.permutation(self.symbols)[: self.pairs], rng.integers(0, self.symbols, self.pairs)], 1)
        pairs += np.array([_FIRST, _FIRST + self.symbols])
        places = (window - 2 * self.pairs - 1) // 2
        queries = min(self.pairs, places)
        at = np.sort(rng.choice(places, queries, replace=False))
        rest = np.full((places, 2), _SIGN)
        rest[at] = pairs[rng.permutation(self.pairs)[:queries]]
        known = np.zeros(2 * self.pairs + 1 + 2 * places, bool)
        known[2 * self.pairs + 1 + 2 * at + 1] = True
        return Example(np.concatenate([pairs.reshape(-1), [_SIGN], rest.reshape(-1)]), known)


@spec
class Counting(Task):
    """Counters that are reset, incremented, and queried.

    Ids: 0 does nothing; 1 + 3 v sets counter v to 0, 2 + 3 v increments it, 3 + 3 v queries it and is followed by the
    answer n, which is the id 1 + 3 counters + n. All counters begin at 0; a counter at limit - 1 is reset instead of
    incremented.

    Attributes:
        counters: the number of counters.
        limit: the exclusive upper bound of n.
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
        tokens[-2] = 3 * (1 + int(rng.integers(self.counters)))  # so that every window has a query
        known = np.zeros(window, bool)
        counts = [0] * self.counters
        for at in range(window):
            if known[at] or not tokens[at]:
                continue
            counter, does = divmod(tokens[at] - 1, 3)
            if does == _ADD and counts[counter] == self.limit - 1:
                tokens[at], does = tokens[at] - _ADD, _SET
            counts[counter] = {_SET: 0, _ADD: counts[counter] + 1, _ASK: counts[counter]}[does]
            if does == _ASK and at + 1 < window:
                tokens[at + 1], known[at + 1] = 1 + 3 * self.counters + counts[counter], True
        return Example(np.array(tokens), known)


_DIGITS = 10


@spec
class Sort(Repeat):
    """Repeat the symbols in the order of their ids."""

    def answer(self, question: np.ndarray) -> np.ndarray:
        return np.sort(question)


@spec
class Parity(Repeat):
    """Zeros and ones, followed by their parity: the symbol 1 if the number of ones is odd."""

    symbols: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.symbols == 2, self, f"symbols={self.symbols} must be 2, zero and one")

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        count = window - 3
        if self.varied:
            count = int(rng.integers(1, count, endpoint=True))
        bits = rng.integers(0, 2, count)
        tokens = np.concatenate([_FIRST + bits, [_SIGN, _FIRST + bits.sum() % 2, _END]])
        return Example(tokens, np.arange(len(tokens)) > count)


@spec
class Addition(Task):
    """Two numbers and their sum, one token per digit; the plus is the id after the digits.

    Attributes:
        reversed: whether numbers are written from their last digit to their first.
        varied: whether the number of digits is sampled, from 1 to the maximum that fits.
    """

    reversed: bool = False
    varied: bool = False

    @property
    def vocabulary(self) -> int:
        return _FIRST + _DIGITS + 1

    def shortest(self, text: Coder) -> int:
        return 7

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        count = (window - 4) // 3  # digits of each number; the sum may have one more
        if self.varied:
            count = int(rng.integers(1, count, endpoint=True))
        a, b = rng.integers(0, _DIGITS, (2, count))
        total, carry = np.zeros(count + 1, int), 0
        for place in range(count - 1, -1, -1):
            carry, total[place + 1] = divmod(int(a[place] + b[place]) + carry, _DIGITS)
        total[0] = carry
        step = -1 if self.reversed else 1
        numbers = [_FIRST + digits[::step] for digits in (a, b, total)]
        tokens = np.concatenate([numbers[0], [_FIRST + _DIGITS], numbers[1], [_SIGN], numbers[2], [_END]])
        return Example(tokens, np.arange(len(tokens)) > 2 * count + 1)


@spec
class Index(Task):
    """A row of different symbols, one of them, an offset, and the symbol at that offset from it.

    Ids 2 to symbols + 1 are symbols, followed by the offsets -reach, ..., -1, 1, ..., reach.

    Attributes:
        symbols: the number of different symbols; a row has the maximum that fits.
        reach: the largest offset.
        varied: whether the length of the row is sampled, from reach + 1 on.
    """

    symbols: int = 64
    reach: int = 4
    varied: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "reach")
        require(self.symbols > self.reach, self, f"symbols={self.symbols} must be more than reach={self.reach}")

    @property
    def vocabulary(self) -> int:
        return _FIRST + self.symbols + 2 * self.reach

    def shortest(self, text: Coder) -> int:
        return self.reach + 1 + 5

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        count = min(window - 5, self.symbols)
        if self.varied:
            count = int(rng.integers(self.reach + 1, count, endpoint=True))
        row = _FIRST + rng.permutation(self.symbols)[:count]
        source = int(rng.integers(count))
        offsets = [o for o in range(-self.reach, self.reach + 1) if o and 0 <= source + o < count]
        offset = offsets[int(rng.integers(len(offsets)))]
        written = _FIRST + self.symbols + offset + self.reach - (offset > 0)
        tokens = np.concatenate([row, [_SIGN, row[source], written, row[source + offset], _END]])
        return Example(tokens, np.arange(len(tokens)) == len(tokens) - 2)


@spec
class Needle(Task):
    """Noise with a sign and a needle after it, and the sign again at the end, after which the needle is predicted.

    Examples fill the window, so longer windows have longer distances.

    Attributes:
        symbols: the number of symbols of the noise.
        told: the number of symbols of the needle.
        distance: tokens from the first sign to the second; 0 samples one that fits.
        values: 0 uses the symbols of the noise for the needle; more use a separate class of this size, like digits
            among words, with the ids after the symbols. A small model learns those in a few hundred steps, but needles
            of noise symbols not in a thousand.
    """

    symbols: int = 16
    told: int = 2
    distance: int = 0
    values: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "symbols", "told")
        at_least(0, self, "values")
        near = self.told + 1
        ok = not self.distance or self.distance >= near
        require(ok, self, f"distance={self.distance} must be 0 or at least {near}, to leave room for the needle")

    @property
    def vocabulary(self) -> int:
        return _FIRST + self.symbols + self.values

    def shortest(self, text: Coder) -> int:
        return max(self.distance, self.told + 1) + 1 + self.told

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        tokens = rng.integers(_FIRST, _FIRST + self.symbols, window)
        last = window - self.told - 1  # the second sign
        distance = self.distance or int(rng.integers(self.told + 1, last, endpoint=True))
        tokens[[last, last - distance]] = _SIGN
        if self.values:
            first = _FIRST + self.symbols
            tokens[last - distance + 1 :][: self.told] = rng.integers(first, first + self.values, self.told)
        tokens[last + 1 :] = tokens[last - distance + 1 : last - distance + 1 + self.told]
        return Example(tokens, np.arange(window) > last)
