"""The encodings of `listing` by name, examples of them, and the spec strings that mean them."""

import sys
from collections.abc import Mapping
from typing import Any

from ropelab.encodings import listing, specs
from ropelab.encodings.base import Encoding
from ropelab.encodings.members import examples

CLASSES: dict[str, type[Encoding]] = {
    name: value for name, value in vars(listing).items() if isinstance(value, type) and issubclass(value, Encoding)
}

ALL: tuple[Encoding, ...] = tuple(
    example
    for module in dict.fromkeys(cls.__module__ for cls in CLASSES.values())
    for example in examples(sys.modules[module], module)
)


def parse(text: str, inherited: Mapping[str, Any] | None = None) -> Encoding:
    """The encoding a spec string names: `parse(repr(e)) == e`.

    Args:
        inherited: values of fields that have no default and are left out, such as `original_length` from a checkpoint.

    Raises:
        ValueError: for an unknown encoding or field, with the nearest right name, or a refused value.
    """
    return specs.parse(text, CLASSES, kind="encoding", inherited=inherited)
