"""Key-value pairs of a GGUF file, wherever they come from; needs none of the packages that read such a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ropelab.checkpoints.errors import CheckpointError

T = TypeVar("T")


class Metadata:
    """Key-value pairs whose types are checked when they are asked for.

    Attributes:
        path: the file they stand in, or what else errors are to name.
    """

    def __init__(self, path: Path | str, values: Mapping[str, Any]):
        self.path = path
        self.values = values

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def get(self, key: str, kind: type[T], default: T) -> T:
        return self.need(key, kind) if key in self.values else default

    def need(self, key: str, kind: type[T]) -> T:
        """The value of `key`.

        Raises:
            CheckpointError: if it is missing or of another kind.
        """
        if key not in self.values:
            raise CheckpointError(f"{self.path}: metadata key {key} is missing; convert the model again")
        value = self.values[key]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise CheckpointError(
                f"{self.path}: {key} is a {type(value).__name__} ({str(value)[:40]}), not a {kind.__name__}"
            )
        return value
