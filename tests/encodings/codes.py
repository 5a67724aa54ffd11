"""Which encodings run the same functions on other numbers, so that one of them can stand for all."""

import inspect
from collections.abc import Iterable

from ropelab.encodings import Encoding, Rotary

NUMBERS = ("frequencies", "check", "inherit")  # what an encoding may have of its own and run the code of another


def code(encoding: Encoding) -> object:
    """What two encodings share if they differ in their numbers alone: all other functions, and whether groups count."""
    cls = type(encoding)
    if not issubclass(cls, Rotary):
        return encoding
    members = inspect.getmembers(cls, lambda m: inspect.isroutine(m) or isinstance(m, property))
    return encoding.per_query_keys, frozenset((n, m) for n, m in members if not n.startswith("__") and n not in NUMBERS)


def stand_ins(encodings: Iterable[Encoding]) -> dict[object, Encoding]:
    """The first encoding of each code."""
    found: dict[object, Encoding] = {}
    for encoding in encodings:
        found.setdefault(code(encoding), encoding)
    return found
