"""Encodings defined in a user's own file: `path/to/my_encoding.py:Mine(a=1)`.

The file is imported, and so executed. Call this only for text that the user wrote on a command line, in a configuration
or in a call, never for text from a checkpoint or a record. Wrappers of the library work with its classes:
`my_encoding.py:LogN(inner=Mine(a=1), original_length=8192)`.
"""

import hashlib
import importlib.abc
import importlib.util
import sys
import traceback
import types
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

from ropelab import spec as specs
from ropelab.encodings import registry
from ropelab.encodings.base import Encoding

_LOADED: set[str] = set()  # names of the modules that were imported here, each with the hash of its text


def parse_with_import(text: str, inherited: Mapping[str, Any] | None = None) -> Encoding:
    """Parse a spec whose encoding is one of the library or of the file before the colon.

    Args:
        inherited: as `catalogue.parse` takes it.

    Raises:
        ValueError: as `catalogue.parse`, and for a file that is not there or cannot be imported.
    """
    path, spec = split_path(text)
    if not path:
        return registry.parse(text, inherited)
    known = registry.find_classes(load_module(path))
    if not spec:
        raise ValueError(f"{path} is a file; say which encoding of it, {path}:Name(field=value): {', '.join(known)}")
    return specs.parse(spec, registry.CLASSES | known, kind="encoding", inherited=inherited)


def split_path(text: str) -> tuple[str, str]:
    """Split a text into the file and the spec, each empty if it is missing."""
    path, colon, spec = text.strip().partition(".py:")
    if colon or path.endswith(".py"):
        return path.removesuffix(".py") + ".py", spec
    return "", path


def examples(path: str) -> tuple[Encoding, ...]:
    """Return the examples of a file, as `registry.collect_examples` does for a module of ropelab.

    Raises:
        ValueError: as `load` and `members.examples`.
    """
    return registry.collect_examples(load_module(path), path)


def load_module(path: str) -> types.ModuleType:
    """Import a file once per content and return its module.

    Raises:
        ValueError: if there is no such file or its import fails, with the line.
    """
    place = Path(path).expanduser().absolute()
    try:
        source = place.read_bytes()
    except OSError as error:
        raise ValueError(f"no encoding can be read from {path}: {error.strerror}") from None
    name = f"{place.stem}_{hashlib.sha256(source).hexdigest()[:12]}"
    if name not in _LOADED:
        spec = importlib.util.spec_from_file_location(name, place, loader=_HashedSourceLoader(name, str(place), source))
        assert spec is not None
        _execute(importlib.util.module_from_spec(spec), spec.loader, path)
        _LOADED.add(name)
    return sys.modules[name]


class _HashedSourceLoader(SourceFileLoader):
    """Loader of the bytes that were hashed: two saves within a second would reuse stale bytecode otherwise."""

    def __init__(self, name: str, path: str, source: bytes):
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> types.CodeType:
        return self.source_to_code(self.source, self.get_filename(fullname))


def _execute(module: types.ModuleType, loader: importlib.abc.Loader | None, path: str) -> None:
    """Execute a module, registered by name because dataclasses look up annotations there."""
    assert loader is not None
    sys.modules[module.__name__] = module
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == module.__file__]
        line = frames[-1].lineno if frames else getattr(error, "lineno", "?")
        raise ValueError(f"{path} cannot be imported: {type(error).__name__} at line {line}: {error}") from error


def source_modules(encoding: Encoding) -> list[str]:
    """Return the modules outside of ropelab that define an encoding, by names that change with their content."""
    return sorted({type(part).__module__ for part in specs.iterate_specs(encoding)} & _LOADED)
