"""The store of measurements: each is kept as soon as it is made, and never made again.

A store is a file of JSON lines, one per measurement, that is only ever appended to:

    {"key": "...", "crc32": ..., "facts": {...}, "value": ...}

The key is the hash of the facts, which are all that the value depends on: weights, encoding and pattern with the file
they come from, kernel, dtype, text, seed, evaluation and versions. A run that was interrupted therefore resumes where
it stopped, and a larger one measures what is new. The end of a line that a killed process left unfinished is dropped
when the next one is written; any other line that cannot be read, or whose checksum is wrong, is an error that names it.
"""

import base64
import fcntl
import hashlib
import json
import os
import platform
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np

import ropelab
from ropelab import miscompilation, precision

ARRAY = "__array__"
OLD_FOLDER = "measurements"  # where ropelab 0.1 kept a file per measurement

Facts = Mapping[str, Any]


class Store:
    """Measurements by their facts.

    Args:
        path: of the file; made with the first measurement.

    Raises:
        ValueError: if a line is damaged, naming file and line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._values: dict[str, Any] = dict(_read(path)) if path.is_file() else {}

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, facts: Facts) -> bool:
        return key_of(facts) in self._values

    def get(self, facts: Facts) -> Any:
        """Return the value measured under these facts, arrays as arrays; None if there is none."""
        return _decode(self._values.get(key_of(facts)))

    def put(self, facts: Facts, value: Any) -> None:
        """Keep a value: numbers, texts, None, arrays, and lists and dicts of these; NaN and infinity included."""
        key, encoded = key_of(facts), _encode(value)
        content = {"facts": dict(facts), "value": encoded}
        line = json.dumps({"key": key, "crc32": _checksum(content)} | content) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            whole = _drop_unfinished_line(file)
            try:
                _write(file, line.encode())
            except OSError:
                file.truncate(whole)
                raise
        self._values[key] = encoded

    def get_or_measure(self, facts: Facts, measure: Callable[[], Any]) -> Any:
        """Return the value that is kept, or measure and keep it."""
        if facts not in self:
            self.put(facts, measure())
        return self.get(facts)


def key_of(facts: Facts) -> str:
    """Return the hash of facts, which must be writable as JSON."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


def describe_versions() -> str:
    """Return what computed a number: versions, matmul precision, and the XLA flag that guards products on a CPU."""
    flag = miscompilation.flag_in_effect()
    parts = [f"ropelab {ropelab.__version__}", f"jax {jax.__version__}", f"Python {platform.python_version()}"]
    parts += [precision.describe(), *([f"XLA_FLAGS {flag}"] if flag else [])]
    return ", ".join(parts)


def warn_of_0_1(workdir: Path) -> str:
    """Return a note on measurements of ropelab 0.1 in a folder, which are not read; "" if there are none."""
    folder = workdir / OLD_FOLDER
    if not folder.is_dir():
        return ""
    return f"{folder} holds measurements of ropelab 0.1, which are not reused; remove it to free the space"


def _read(path: Path) -> Any:
    text = path.read_bytes()
    *lines, unfinished = text.split(b"\n")
    del unfinished
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            if entry["crc32"] != _checksum({"facts": entry["facts"], "value": entry["value"]}):
                raise ValueError("its checksum is wrong")
            yield entry["key"], entry["value"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(
                f"{path}, line {number}, is damaged ({said:.200}); remove the line, and the same command measures it "
                "again"
            ) from None


def _checksum(content: Any) -> int:
    return zlib.crc32(json.dumps(content).encode())


def _drop_unfinished_line(file: BinaryIO) -> int:
    """Cut what follows the last newline, which no living process is writing: the file is locked. Return the size."""
    size = end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            end = start + at + 1
            break
        end = start
    if end < size:
        file.truncate(end)
    return end


def _write(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {ARRAY: data, "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, dict):
        return {name: _encode(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(one) for one in value]
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, dict) and ARRAY in value:
        return np.frombuffer(base64.b64decode(value[ARRAY]), value["dtype"]).reshape(value["shape"]).copy()
    if isinstance(value, dict):
        return {name: _decode(one) for name, one in value.items()}
    return [_decode(one) for one in value] if isinstance(value, list) else value
