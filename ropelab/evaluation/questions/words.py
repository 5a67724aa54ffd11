"""Names for things: the word lists of wonderwords, which RULER and LongEval draw theirs from."""

import importlib.resources
import uuid
from functools import cache

import numpy as np


@cache
def listed(name: str) -> tuple[str, ...]:
    """A list of wonderwords, in order and without repetitions: "nounlist", "adjectivelist", "verblist".

    Raises:
        ValueError: if the package is not installed.
    """
    try:
        assets = importlib.resources.files("wonderwords") / "assets"
    except ModuleNotFoundError:
        raise ValueError("the words of these questions are wonderwords'; pip install 'ropelab[eval]'") from None
    lines = (assets / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(dict.fromkeys(line for line in lines if line))


@cache
def words() -> tuple[str, ...]:
    """All nouns, adjectives and verbs."""
    return tuple(sorted({word for name in ("nounlist", "adjectivelist", "verblist") for word in listed(name)}))


def word_pair(rng: np.random.Generator) -> str:
    """An adjective and a noun: "torpid-kid"."""
    adjectives, nouns = listed("adjectivelist"), listed("nounlist")
    return f"{adjectives[rng.integers(len(adjectives))]}-{nouns[rng.integers(len(nouns))]}"


def word_pairs(rng: np.random.Generator, count: int) -> list[str]:
    """As many different ones."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[word_pair(rng)] = None
    return list(found)


def number(rng: np.random.Generator, digits: int) -> str:
    """A number of so many digits, the first of which is not 0."""
    return str(rng.integers(10 ** (digits - 1), 10**digits))


def uuid4(rng: np.random.Generator) -> str:
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))
