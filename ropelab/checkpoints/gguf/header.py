"""Header of a GGUF file: its metadata and the location of each tensor.

    file     "GGUF"  version u32  tensors u64  pairs u64   then the pairs, the tensors, padding, the data
    pair     key str  kind u32  value
    tensor   name str  rank u32  dims u64[rank], fastest first  type u32  offset u64, from the start of the data
    str      length u64  UTF-8          array   kind u32  length u64  values

Source: ggml-org/ggml, docs/gguf.md, versions 2 and 3. The reader in the `gguf` package keeps several objects per
element (2.9 s and 150 MB for a vocabulary of 49152; here 0.1 s), follows a damaged array length until memory is
exhausted, and raises arbitrary errors for damaged files.
"""

import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

from ropelab.errors import CheckpointError
from ropelab.rope_settings.gguf import Metadata

_VERSIONS = (2, 3)
_MAX_DIMENSIONS = 4
_DTYPES = {
    GGUFValueType.UINT8: "<u1", GGUFValueType.INT8: "<i1", GGUFValueType.UINT16: "<u2", GGUFValueType.INT16: "<i2",
    GGUFValueType.UINT32: "<u4", GGUFValueType.INT32: "<i4", GGUFValueType.UINT64: "<u8", GGUFValueType.INT64: "<i8",
    GGUFValueType.FLOAT32: "<f4", GGUFValueType.FLOAT64: "<f8", GGUFValueType.BOOL: "?",
}  # fmt: skip


class TensorInfo(NamedTuple):
    """A tensor: its shape, slowest dimension first, its quantization type, and its byte range in the file."""

    shape: tuple[int, ...]
    type: GGMLQuantizationType
    start: int
    size: int


class _Cursor:
    """Reads consecutive little-endian values of a buffer, never beyond its end."""

    def __init__(self, path: Path, data: memoryview):
        self.path = path
        self.data = data
        self.at = 0

    def broken(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"{self.path}: {what} (at byte {self.at}); the file is truncated or damaged; download it again"
        )

    def take(self, size: int) -> memoryview:
        end = self.at + size
        if end > len(self.data):
            raise self.broken(f"the header runs past the end of the file, {len(self.data)} bytes")
        taken, self.at = self.data[self.at : end], end
        return taken

    def u32(self) -> int:
        return struct.unpack("<I", self.take(4))[0]

    def u64(self) -> int:
        return struct.unpack("<Q", self.take(8))[0]

    def string(self) -> str:
        try:
            return str(self.take(self.u64()), "utf-8")
        except UnicodeDecodeError:
            raise self.broken("a string is not UTF-8") from None

    def kind(self) -> GGUFValueType:
        code = self.u32()
        if code not in set(GGUFValueType):
            raise self.broken(f"unknown kind of metadata {code}")
        return GGUFValueType(code)

    def numbers(self, kind: GGUFValueType, count: int) -> np.ndarray:
        dtype = np.dtype(_DTYPES[kind])
        return np.frombuffer(self.take(count * dtype.itemsize), dtype)

    def value(self) -> Any:
        """Read a metadata value: an array becomes a list of strings or a numpy array."""
        kind = self.kind()
        if kind == GGUFValueType.STRING:
            return self.string()
        if kind != GGUFValueType.ARRAY:
            return _to_scalar(self.numbers(kind, 1)[0])
        element, count = self.kind(), self.u64()
        if element == GGUFValueType.ARRAY:
            raise self.broken("arrays of arrays are not part of any known model")
        if element == GGUFValueType.STRING:
            return [self.string() for _ in range(count)]
        return self.numbers(element, count)


def _to_scalar(number: np.generic) -> Any:
    """Convert to a Python number; a float32 becomes its shortest decimal, 1e-05 and not 9.999999747378752e-06."""
    return float(str(number)) if number.dtype == np.float32 else number.item()


def read_header(path: Path, data: np.ndarray) -> tuple[Metadata, dict[str, TensorInfo]]:
    """Read the metadata and the tensors of a file.

    Args:
        data: the bytes of the file.

    Raises:
        CheckpointError: if it is not a GGUF of a supported version, or is visibly damaged.
    """
    cursor = _Cursor(path, data.data)
    if bytes(data[:4]) != b"GGUF":
        raise CheckpointError(f"{path} is not a GGUF file: it begins with {bytes(data[:4])!r}")
    cursor.take(4)
    version = cursor.u32()
    if version not in _VERSIONS:
        big = " (big-endian files are not supported)" if version & 0xFFFF == 0 else ""
        raise CheckpointError(
            f"{path}: GGUF version {version}{big}; versions {_VERSIONS} are supported; convert it again"
        )
    tensor_count, pair_count = cursor.u64(), cursor.u64()
    values: dict[str, Any] = {}
    for _ in range(pair_count):
        key = cursor.string()
        if key in values:
            raise cursor.broken(f"metadata key {key!r} occurs twice")
        values[key] = cursor.value()
    metadata = Metadata(path, values)
    return metadata, _read_tensors(cursor, tensor_count, metadata.get("general.alignment", int, 32))


def _read_tensors(cursor: _Cursor, count: int, alignment: int) -> dict[str, TensorInfo]:
    """Read the tensors by name; each must be within the file and after the one before it."""
    relative: dict[str, TensorInfo] = {}
    for _ in range(count):
        name = cursor.string()
        if name in relative:
            raise cursor.broken(f"tensor {name!r} occurs twice")
        relative[name] = _read_tensor(cursor, name)
    if alignment <= 0 or alignment & (alignment - 1):
        raise cursor.broken(f"general.alignment {alignment} is not a power of two")
    base = -(-cursor.at // alignment) * alignment
    tensors = {name: s._replace(start=base + s.start) for name, s in relative.items()}
    end = base
    for name, s in tensors.items():
        if s.start < end:  # as in llama.cpp; otherwise a small file could exhaust the memory
            raise cursor.broken(f"tensor {name} begins at byte {s.start}, before {end}, the end of the previous one")
        end = s.start + s.size
        if end > len(cursor.data):
            raise cursor.broken(f"tensor {name} ends at byte {s.start + s.size}, the file at {len(cursor.data)}")
    return tensors


def _read_tensor(cursor: _Cursor, name: str) -> TensorInfo:
    """Read the description of a tensor, with its offset as `start`."""
    rank = cursor.u32()
    if not 0 < rank <= _MAX_DIMENSIONS:
        raise cursor.broken(f"tensor {name!r} has {rank} dimensions")
    shape = tuple(cursor.u64() for _ in range(rank))[::-1]
    code, offset = cursor.u32(), cursor.u64()
    if code not in set(GGMLQuantizationType):
        raise CheckpointError(
            f"{cursor.path}: tensor {name!r} has type {code}, unknown to the installed gguf; update gguf"
        )
    kind = GGMLQuantizationType(code)
    block, block_bytes = GGML_QUANT_SIZES[kind]
    if not all(shape) or shape[-1] % block:
        raise cursor.broken(f"tensor {name!r} has shape {shape}, impossible in blocks of {block} ({kind.name})")
    return TensorInfo(shape, kind, offset, math.prod(shape) // block * block_bytes)
