"""Writing of safetensors, JSON and atomic directories.

    safetensors   8 bytes: length of the header, little-endian;  header: JSON, name → dtype, shape, offsets;  values

The library's `save_file` needs all values at once and copies them. Here tensors are written one by one, so only one of
them is in memory in addition to the model.

Source: the format as documented by huggingface/safetensors 0.8.
"""

import contextlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ropelab.errors import CheckpointError

_DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16", "float64": "F64"}
_ALIGNMENT = 8  # bytes; readers map the file and expect values at multiples of it


class LazyTensor(NamedTuple):
    """A tensor to write: its name, its shape, and a function that returns its values."""

    name: str
    shape: tuple[int, ...]
    values: Callable[[], np.ndarray]


def write_safetensors(path: Path, tensors: Sequence[LazyTensor], dtype: Any) -> None:
    """Write tensors of one dtype to a file, with the metadata "format": "pt" that transformers requires."""
    kind = np.dtype(dtype)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape, _ in tensors:
        start, end = end, end + math.prod(shape) * kind.itemsize
        header[name] = {"dtype": _DTYPES[kind.name], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape, values in tensors:
            array = np.ascontiguousarray(values(), kind)
            assert array.shape == shape, f"{name}: {array.shape} for {shape}"
            file.write(array.reshape(-1).view(np.uint8).data)


@contextlib.contextmanager
def atomic_directory(directory: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a hidden temporary directory that is renamed to `directory` on success and removed on failure.

    Raises:
        CheckpointError: if `directory` exists and is not an empty directory.
    """
    path = Path(directory).expanduser().absolute()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise CheckpointError(f"{path} already exists; use a new directory, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    unfinished.mkdir()
    try:
        yield unfinished
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write an indented JSON file."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
