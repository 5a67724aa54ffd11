"""What a made-up task is: examples that are drawn, in which some tokens follow from those before them.

Example i of a seed and window length is always the same, whoever asks. An example is one window; what it does not fill
is padding. The loss asks only for tokens that can be known.
"""

from typing import NamedTuple

import numpy as np

from ropelab.data.settings import Coder
from ropelab.spec import Spec, at_least, require, spec

_END, _SIGN, _FIRST = 0, 1, 2  # the end, the one sign that a task has, and its first symbol


class Example(NamedTuple):
    """One window.

    Attributes:
        tokens: i32[N], N at most the window.
        known: bool[N], the tokens that follow from those before them.
    """

    tokens: np.ndarray
    known: np.ndarray


@spec
class Task(Spec):
    """A family of examples."""

    @property
    def vocabulary(self) -> int:
        """How many token ids there are."""
        raise NotImplementedError

    def shortest(self, text: Coder) -> int:
        """The tokens of the shortest window that holds an example."""
        raise NotImplementedError

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        """An example of at most `window` tokens, which is at least `shortest`.

        Args:
            text: how words become tokens, for tasks that have words.
        """
        raise NotImplementedError

    def check(self, window: int, text: Coder) -> None:
        """Raise `ValueError` if no example fits into windows of so many tokens."""
        least = self.shortest(text)
        require(window >= least, self, f"needs a window of {least} tokens, length={least - 1}; here it is {window}")


# Tasks on symbols, each about what a position is good for.
#
#     Copy       a b c | a b c end         the token a fixed distance back
#     Reverse    a b c | c b a end         a distance that grows by two a step
#     AssociativeRecall   k1 v1 k2 v2 k3 v3 | . . k3 v3 . . k1 v1 . .    by content, whatever the distance
#     Counting   pass set add add pass ask 2 pass add ask 3              how many of a kind since another
#
# Ids: 0 is the end of an example, 1 the sign `|` (or what stands between questions), symbols come from 2 on; those of
# Counting are told there.
#
# Sources: AssociativeRecall is the multi-query task of Arora et al., arXiv 2312.04927, with each key asked once and the
# questions at places drawn uniformly; Counting is that of Golovneva et al., arXiv 2405.18719, a token an operation.

_SET, _ADD, _ASK = range(3)


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
        return _FIRST + 2 * self.symbols

    def shortest(self, text: Coder) -> int:
        return 2 * self.pairs + 1 + 2

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        pairs = np.stack([rng.permutation(self.symbols)[: self.pairs], rng.integers(0, self.symbols, self.pairs)], 1)
        pairs += np.array([_FIRST, _FIRST + self.symbols])
        places = (window - 2 * self.pairs - 1) // 2
        asked = min(self.pairs, places)
        at = np.sort(rng.choice(places, asked, replace=False))
        rest = np.full((places, 2), _SIGN)
        rest[at] = pairs[rng.permutation(self.pairs)[:asked]]
        known = np.zeros(2 * self.pairs + 1 + 2 * places, bool)
        known[2 * self.pairs + 1 + 2 * at + 1] = True
        return Example(np.concatenate([pairs.reshape(-1), [_SIGN], rest.reshape(-1)]), known)


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
            if does == _ADD and counts[counter] == self.limit - 1:
                tokens[at], does = tokens[at] - _ADD, _SET
            counts[counter] = {_SET: 0, _ADD: counts[counter] + 1, _ASK: counts[counter]}[does]
            if does == _ASK and at + 1 < window:
                tokens[at + 1], known[at + 1] = 1 + 3 * self.counters + counts[counter], True
        return Example(np.array(tokens), known)


# More tasks on symbols: order, arithmetic, places, and one thing hidden among many.
#
#     Sort       c a b | a b c end                 where each symbol belongs depends on all
#     Parity     1 0 1 1 | 1 end                   every symbol counts, wherever it is
#     Addition   3 7 + 4 5 = 8 2 end               digit by digit; reversed 7 3 + 5 4 = 2 8 end
#     Index      e b d a c | b +2 a end            the symbol two places after b
#     Needle     x y | 7 3 z w x | 7 3             what was told behind the sign, however long ago
#
# Ids: 0 is the end of an example, 1 the sign, symbols come from 2 on; what a task has besides is told there.
#
# Sources: Sort, Parity, Addition after the length-generalisation suites of Kazemnejad et al., arXiv 2305.19466, and
# Zhou et al., arXiv 2402.09371, whose digits are reversed; Index is the indirect indexing of PoPE, arXiv 2509.10534, a
# token an offset; Needle is the passkey without words, for distances that words are too long for.

_DIGITS = 10


@spec
class Sort(Repeat):
    """The symbols once more, in the order of their ids."""

    def answer(self, question: np.ndarray) -> np.ndarray:
        return np.sort(question)


@spec
class Parity(Repeat):
    """Zeros and ones, and whether the ones are odd: the symbol 1 if so."""

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
    """Two numbers and their sum, a token a digit; the plus is the id after the digits.

    Attributes:
        reversed: whether numbers are written from their last digit to their first.
        varied: whether the number of digits is drawn, from 1 to as many as fit.
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
    """Different symbols in a row, one of them, an offset, and the symbol so many places from it.

    Ids 2 to symbols + 1 are symbols; then come the offsets -reach, ..., -1, 1, ..., reach.

    Attributes:
        symbols: how many there are; a row has as many as fit, at most all.
        reach: of the largest offset.
        varied: whether the length of the row is drawn, from reach + 1 on.
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
    """Noise that hides a sign and what it tells, and the sign again at the end, after which that is asked for.

    The window is filled: the longer it is, the farther what is told may lie.

    Attributes:
        symbols: of noise and of what is told.
        told: symbols that the sign tells.
        distance: tokens from the first sign to the second; 0 draws one that fits.
        values: 0 tells symbols that are noise elsewhere; more are a class of their own, as digits among words are, with
            the ids after the symbols. Those a small model learns in some hundred steps, the others not in a thousand.
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
        require(ok, self, f"distance={self.distance} must be 0 or at least {near}, with what is told between")

    @property
    def vocabulary(self) -> int:
        return _FIRST + self.symbols + self.values

    def shortest(self, text: Coder) -> int:
        return max(self.distance, self.told + 1) + 1 + self.told

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        tokens = rng.integers(_FIRST, _FIRST + self.symbols, window)
        last = window - self.told - 1  # where the sign asks
        distance = self.distance or int(rng.integers(self.told + 1, last, endpoint=True))
        tokens[[last, last - distance]] = _SIGN
        if self.values:
            first = _FIRST + self.symbols
            tokens[last - distance + 1 :][: self.told] = rng.integers(first, first + self.values, self.told)
        tokens[last + 1 :] = tokens[last - distance + 1 : last - distance + 1 + self.told]
        return Example(tokens, np.arange(window) > last)
