"""Writing safetensors a tensor at a time.

    8 bytes: length of the header, little-endian;  header: JSON, name → dtype, shape, offsets;  the values, in order

The library's own `save_file` wants all values at once and copies them: here one tensor is held besides the model.

Source: the format as huggingface/safetensors 0.8 documents it.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16", "float64": "F64"}
ALIGNMENT = 8  # bytes; readers map the file and want values to begin at a multiple


class Tensor(NamedTuple):
    """What is to be written: a name, a shape, and the values when their turn has come."""

    name: str
    shape: tuple[int, ...]
    values: Callable[[], np.ndarray]


def write(path: Path, tensors: Sequence[Tensor], dtype: Any) -> None:
    """A file of these tensors, all of one type; "format": "pt" in its metadata, which transformers asks for."""
    kind = np.dtype(dtype)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape, _ in tensors:
        start, end = end, end + math.prod(shape) * kind.itemsize
        header[name] = {"dtype": DTYPES[kind.name], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape, values in tensors:
            found = np.ascontiguousarray(values(), kind)
            assert found.shape == shape, f"{name}: {found.shape} for {shape}"
            file.write(found.reshape(-1).view(np.uint8).data)
