"""Judging an answer: each function gives a score from 0 to 1, of what was said and what had to be said."""

import re
import string
from collections.abc import Callable, Sequence

Scorer = Callable[[str, Sequence[str]], float]


def share_contained(said: str, wanted: Sequence[str]) -> float:
    """The share of the wanted strings that occur in what was said, capitals or not (RULER's string_match_all)."""
    said = said.lower()
    return sum(one.lower() in said for one in wanted) / len(wanted)


def first_integer(said: str, wanted: Sequence[str]) -> float:
    """Whether the first integer said is the wanted one (the passkey of Landmark attention, PI and YaRN)."""
    found = re.search(r"\d+", said)
    return float(found is not None and int(found.group()) == int(wanted[0]))


def last_integer(said: str, wanted: Sequence[str]) -> float:
    """Whether the last integer said is the wanted one (LongEval's lines)."""
    found = re.findall(r"\d+", said)
    return float(bool(found) and int(found[-1]) == int(wanted[0]))


def contains_topic(said: str, wanted: Sequence[str]) -> float:
    """Whether the wanted phrase occurs, without regard to capitals, punctuation, articles and spaces.

    LongEval asks another model whether two topics are the same; this is stricter, and the same on every machine.
    """
    return float(plain(wanted[0]) in plain(said))


def plain(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (SQuAD's normalisation)."""
    bare = text.lower().translate(str.maketrans(string.punctuation, " " * len(string.punctuation)))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())
