"""RULER's aggregation: the most common words of a list, and of a coded text.

    cwe   CommonWords     1. report 2. voicemail 3. report ...     ten words occur 30 times, the others 3 times
    fwe   FrequentWords   kdwpqz ... bgqjdl kdwpqz ...             word k of Zipf's law occurs n k^-2 / zeta(2) times

Up to 4096 tokens the common words occur 6 times and the others once, and the answered example before the question has
20 words, 3 and 1 times; beyond it 40 words, 10 and 3 times. The most frequent coded word is written as dots and does
not count. Source: Hsieh et al., arXiv 2404.06654; NVIDIA/RULER c3f5e3b, scripts/data/synthetic/
common_words_extraction.py, freq_words_extraction.py, constants.py. A unit is a word of the list, or ten of the text.
"""

import string
from typing import ClassVar

import numpy as np
from scipy.special import zeta

from ropelab.evaluation.questions.base import Question, Questions
from ropelab.evaluation.questions.words import words
from ropelab.spec import require, spec

COMMON = 10  # words asked for
SHORT = 4096  # tokens below which RULER's lists are sparser

CWE_TASK = (
    "Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that "
    "appear most often.\n{}\nQuestion: What are the 10 most common words in the above list?"
)
CWE_PREFIX = " Answer: The top 10 words that appear most often in the list are:"
FWE_TASK = (
    "Read the following coded text and track the frequency of each coded word. Find the three most frequently appeared "
    "coded words. {}\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the three most "
    "frequently appeared words in the above coded text?"
)
FWE_PREFIX = " Answer: According to the coded text above, the three most frequently appeared words are:"


@spec
class CommonWords(Questions):
    """The ten most common words of a list."""

    new_tokens: ClassVar[int] = 120
    places: ClassVar[bool] = False
    fewest: ClassVar[int] = COMMON + 1

    def question(self, rng: np.random.Generator, units: int, depth: float | None, length: int) -> Question:
        short = length < SHORT
        require(units <= len(words()), self, f"there are {len(words())} words, and {units} are needed; shorten length")
        example, solved = listed(rng, *((20, 3, 1) if short else (40, 10, 3)))
        text, common = listed(rng, units, *((6, 1) if short else (30, 3)))
        shown = f"{CWE_TASK.format(example)}{CWE_PREFIX} {numbered(solved)}\n"
        return Question(shown + CWE_TASK.format(text), CWE_PREFIX, tuple(common), f" {numbered(common)}")


def listed(rng: np.random.Generator, count: int, often: int, seldom: int) -> tuple[str, list[str]]:
    """`(numbered list, common words)` of so many different words."""
    known = words()
    drawn = [known[i] for i in rng.choice(len(known), count, replace=False)]
    common = drawn[:COMMON]
    repeated = common * often + drawn[COMMON:] * seldom
    return numbered([repeated[i] for i in rng.permutation(len(repeated))]), common


def numbered(items: list[str]) -> str:
    return " ".join(f"{i + 1}. {item}" for i, item in enumerate(items))


@spec
class FrequentWords(Questions):
    """The three most frequent words of a coded text.

    Attributes:
        alpha: of Zipf's law.
        letters: of a coded word.
    """

    new_tokens: ClassVar[int] = 50
    places: ClassVar[bool] = False
    fewest: ClassVar[int] = 4

    alpha: float = 2.0
    letters: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.alpha > 1, self, f"alpha={self.alpha} must be greater than 1")
        require(self.letters >= 3, self, f"letters={self.letters} must be at least 3")

    def question(self, rng: np.random.Generator, units: int, depth: float | None, length: int) -> Question:
        vocabulary = max((length - self.new_tokens) // 50, 5)
        drawn: dict[str, None] = {}
        while len(drawn) < vocabulary:
            drawn["".join(string.ascii_lowercase[i] for i in rng.integers(26, size=self.letters))] = None
        coded = ["...", *list(drawn)[1:]]
        k = np.arange(1, vocabulary + 1)
        counts = (10 * units * k**-self.alpha / float(zeta(self.alpha))).astype(int)
        text = [word for word, count in zip(coded, counts, strict=True) for _ in range(count)]
        text = " ".join(text[i] for i in rng.permutation(len(text)))
        wanted = tuple(coded[1:4])
        return Question(FWE_TASK.format(text), FWE_PREFIX, wanted, f" {' '.join(wanted)}")
