"""More tasks on symbols: order, arithmetic, places, and one thing hidden among many.

    Sort       c a b | a b c end                 where each symbol belongs depends on all
    Parity     1 0 1 1 | 1 end                   every symbol counts, wherever it is
    Addition   3 7 + 4 5 = 8 2 end               digit by digit; reversed 7 3 + 5 4 = 2 8 end
    Index      e b d a c | b +2 a end            the symbol two places after b
    Needle     x y | 7 3 z w x | 7 3             what was told behind the sign, however long ago

Ids: 0 is the end of an example, 1 the sign, symbols come from 2 on; what a task has besides is told there.

Sources: Sort, Parity, Addition after the length-generalisation suites of Kazemnejad et al., arXiv 2305.19466, and Zhou
et al., arXiv 2402.09371, whose digits are reversed; Index is the indirect indexing of PoPE, arXiv 2509.10534, a token
an offset; Needle is the passkey without words, for distances that words are too long for.
"""

import numpy as np

from ropelab.data.symbols import Repeat
from ropelab.data.tasks import END, FIRST, SIGN, Example, Task
from ropelab.data.tokens import Coder
from ropelab.spec import at_least, require, spec

DIGITS = 10


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
        tokens = np.concatenate([FIRST + bits, [SIGN, FIRST + bits.sum() % 2, END]])
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
        return FIRST + DIGITS + 1

    def shortest(self, text: Coder) -> int:
        return 7

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        count = (window - 4) // 3  # digits of each number; the sum may have one more
        if self.varied:
            count = int(rng.integers(1, count, endpoint=True))
        a, b = rng.integers(0, DIGITS, (2, count))
        total, carry = np.zeros(count + 1, int), 0
        for place in range(count - 1, -1, -1):
            carry, total[place + 1] = divmod(int(a[place] + b[place]) + carry, DIGITS)
        total[0] = carry
        step = -1 if self.reversed else 1
        numbers = [FIRST + digits[::step] for digits in (a, b, total)]
        tokens = np.concatenate([numbers[0], [FIRST + DIGITS], numbers[1], [SIGN], numbers[2], [END]])
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
        return FIRST + self.symbols + 2 * self.reach

    def shortest(self, text: Coder) -> int:
        return self.reach + 1 + 5

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        count = min(window - 5, self.symbols)
        if self.varied:
            count = int(rng.integers(self.reach + 1, count, endpoint=True))
        row = FIRST + rng.permutation(self.symbols)[:count]
        source = int(rng.integers(count))
        offsets = [o for o in range(-self.reach, self.reach + 1) if o and 0 <= source + o < count]
        offset = offsets[int(rng.integers(len(offsets)))]
        written = FIRST + self.symbols + offset + self.reach - (offset > 0)
        tokens = np.concatenate([row, [SIGN, row[source], written, row[source + offset], END]])
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
        return FIRST + self.symbols + self.values

    def shortest(self, text: Coder) -> int:
        return max(self.distance, self.told + 1) + 1 + self.told

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        tokens = rng.integers(FIRST, FIRST + self.symbols, window)
        last = window - self.told - 1  # where the sign asks
        distance = self.distance or int(rng.integers(self.told + 1, last, endpoint=True))
        tokens[[last, last - distance]] = SIGN
        if self.values:
            first = FIRST + self.symbols
            tokens[last - distance + 1 :][: self.told] = rng.integers(first, first + self.values, self.told)
        tokens[last + 1 :] = tokens[last - distance + 1 : last - distance + 1 + self.told]
        return Example(tokens, np.arange(window) > last)
