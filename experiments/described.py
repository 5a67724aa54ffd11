"""What the files of the catalogue of encodings say of themselves: family, docstring, classes, fields."""

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ropelab import spec
from ropelab.encodings import ALL, Encoding, Rotary, parse, registry
from ropelab.reporting.encoding_page import Class, Entry, Family, Field


def families(drawn: Mapping[str, str], folder: str) -> list[Family]:
    """The families of the registry, in its order, each under the comment above its lines.

    Args:
        drawn: the specs of curves, by their titles; the examples of a file of which there is none.
        folder: of the pictures, as the page names it.
    """
    found: list[Family] = []
    for line in inspect.getsource(registry).splitlines():
        if line.startswith("# "):
            title = line.removeprefix("# ")
            picture = f"{folder}/{re.sub(r'[^a-z]+', '_', title.lower())}.png"
            found.append(Family(title[0].upper() + title[1:], picture, []))
        elif line.endswith("import *"):
            found[-1].entries.append(entry(line.split()[1], drawn))
    return found


def entry(name: str, drawn: Mapping[str, str]) -> Entry:
    """What one file says."""
    module = sys.modules[name]
    own = [cls for cls in registry.find_classes(module).values() if cls.__name__ in registry.CLASSES]
    shown = {title: spec for title, spec in drawn.items() if type(parse(spec)) in own}
    shown = shown or {type(e).__name__: repr(e) for e in ALL if type(e) in own}
    return Entry(
        file=Path(str(module.__file__)).name,
        docstring=str(module.__doc__),
        classes=[Class(cls.__name__, summary(cls), list(fields(cls))) for cls in own],
        rotary=any(issubclass(cls, Rotary) and "base" in names(cls) for cls in own),
        drawn=shown,
    )


def fields(cls: type[Encoding]) -> Iterator[Field]:
    """The fields of a class but those of every rotary encoding."""
    shared = names(Rotary) if issubclass(cls, Rotary) else []
    for field in dataclasses.fields(cls):
        if field.name not in shared or cls is Rotary:
            default = "" if field.default is dataclasses.MISSING else repr(field.default)
            kind = spec.describe_type(spec.resolve_field_types(cls)[field.name])
            yield Field(field.name, kind, default, explained(cls).get(field.name, ""))


def names(cls: type[Encoding]) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def summary(cls: type[Encoding]) -> str:
    """The first paragraph of the docstring."""
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


def explained(cls: type) -> dict[str, str]:
    """What the docstrings of a class and those that it derives from say of their attributes, by name."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        for said in re.split(r"\n(?=    \w)", "\n" + attributes)[1:]:
            who, _, words = said.partition(":")
            found |= {name.strip(): " ".join(words.split()) for name in who.split(",")}
    return found


if __name__ == "__main__":
    raise SystemExit("experiments.described is used by the commands and is none itself; docs/running.md lists them")
