"""The encodings that a module defines, and examples of them: the same for a user's file and for one of ropelab."""

import inspect
import sys
import types
from collections.abc import Mapping
from typing import Any

from ropelab import spec
from ropelab.encodings import listing
from ropelab.encodings.base import Encoding


def classes(module: types.ModuleType) -> dict[str, type[Encoding]]:
    """The encodings that a module defines, by name.

    Raises:
        ValueError: for a class whose fields are declared and are none, because @spec is missing.
    """
    found = [cls for cls in vars(module).values() if isinstance(cls, type) and issubclass(cls, Encoding)]
    own = {cls.__name__: cls for cls in found if cls.__module__ == module.__name__}
    for name, cls in own.items():
        if inspect.get_annotations(cls) and "__dataclass_params__" not in vars(cls):
            raise ValueError(
                f"{name} declares {', '.join(inspect.get_annotations(cls))} and is not decorated with @spec"
            )
    return own


def examples(module: types.ModuleType, named: str) -> tuple[Encoding, ...]:
    """What the module-level `EXAMPLES` holds, and each other final encoding of the module, made from its defaults.

    Args:
        named: what errors call the module.

    Raises:
        ValueError: also for a class that is in no example and has no defaults, rather than leave it out.
    """
    own, given = classes(module), tuple(getattr(module, "EXAMPLES", ()))
    for value in given:
        if not isinstance(value, Encoding):
            raise ValueError(f"EXAMPLES of {named} holds {value!r}, which is no encoding")
    shown = {type(part) for value in given for part in spec.parts(value)}
    final = [cls for cls in own.values() if not any(issubclass(c, cls) for c in own.values() if c is not cls)]
    missing = [cls for cls in final if cls not in shown]
    if not (given or missing):
        raise ValueError(f"{named} defines no encoding: no class in it is derived from ropelab.encodings.Encoding")
    return (*given, *(spec.call(cls, {}, f"{named}, without EXAMPLES") for cls in missing))


# The encodings of `listing` by name, examples of them, and the spec strings that mean them.

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
    return spec.parse(text, CLASSES, kind="encoding", inherited=inherited)
