"""Which XLA flags and compile options the installed jaxlib knows.

XLA aborts the process on an unknown flag in XLA_FLAGS and raises on an unknown compile option. Both come and go between
releases of jaxlib, which offers no list of them. But its shared library holds their names: a flag as a zero-terminated
string, an option as a field of the message DebugOptions. This module searches for those bytes; it imports neither jax
nor jaxlib.
"""

import mmap
import os
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@cache
def is_known_flag(name: str) -> bool:
    """Return whether the installed jaxlib knows this flag of XLA_FLAGS.

    The search takes about 5 ms for a known flag and 0.1 s for an unknown one, once per process.

    Args:
        name: A name such as `xla_cpu_max_isa`. `--xla_cpu_max_isa=AVX2` asks for the same flag.

    Returns:
        False also if jaxlib is not installed.
    """
    name = name.removeprefix("--").partition("=")[0]
    return name.startswith("xla_") and _library_contains(b"\0%b\0" % name.encode())


@cache
def is_known_option(name: str) -> bool:
    """Return whether the installed jaxlib knows this name in `jax.jit(compiler_options=...)`, as `is_known_flag`.

    Most flags are options too. A flag that no longer has an effect may still be accepted as a flag only.
    """
    encoded = name.encode()
    # A field in a serialized descriptor: its name (tag 1, text), then its number (tag 3).
    return name.startswith("xla_") and _library_contains(b"\x0a%c%b\x18" % (len(encoded), encoded))


def select_flags(flags: str) -> str:
    """Return those flags of a value of XLA_FLAGS, separated by spaces, that the installed jaxlib knows."""
    return " ".join(flag for flag in flags.split() if is_known_flag(flag))


def select_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those compile options that the installed jaxlib knows."""
    return {name: value for name, value in options.items() if is_known_option(name)}


def _library_contains(content: bytes) -> bool:
    library = _library_of_xla()
    if library is None:
        return False
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return mapped.find(content) >= 0


@cache
def _library_of_xla() -> Path | None:
    """Return the largest shared library of jaxlib, which is the one that holds XLA."""
    spec = find_spec("jaxlib")
    folders = (spec.submodule_search_locations if spec else None) or ()
    libraries = [
        path
        for folder in folders
        for path in Path(folder).iterdir()
        if path.suffix in (".so", ".dylib", ".pyd", ".dll")
    ]
    return max(libraries, key=os.path.getsize, default=None)
