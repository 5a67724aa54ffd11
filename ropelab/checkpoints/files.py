"""Writing safetensors a tensor at a time.

    8 bytes: length of the header, little-endian;  header: JSON, name → dtype, shape, offsets;  the values, in order

The library's own `save_file` wants all values at once and copies them: here one tensor is held besides the model.

Source: the format as huggingface/safetensors 0.8 documents it.
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
_ALIGNMENT = 8  # bytes; readers map the file and want values to begin at a multiple


class LazyTensor(NamedTuple):
    """What is to be written: a name, a shape, and the values when their turn has come."""

    name: str
    shape: tuple[int, ...]
    values: Callable[[], np.ndarray]


def write_safetensors(path: Path, tensors: Sequence[LazyTensor], dtype: Any) -> None:
    """A file of these tensors, all of one type; "format": "pt" in its metadata, which transformers asks for."""
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
            found = np.ascontiguousarray(values(), kind)
            assert found.shape == shape, f"{name}: {found.shape} for {shape}"
            file.write(found.reshape(-1).view(np.uint8).data)


# A directory that appears under its name only when all of it is there.


@contextlib.contextmanager
def atomic_directory(directory: str | os.PathLike[str]) -> Iterator[Path]:
    """A hidden directory beside `directory` to write into, which takes its name at the end, or goes if that fails.

    Raises:
        CheckpointError: if there is something of this name, an empty directory excepted.
    """
    path = Path(directory).expanduser().absolute()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise CheckpointError(f"{path} is there already; name a new directory, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    unfinished.mkdir()
    try:
        yield unfinished
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
