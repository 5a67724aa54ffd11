"""A directory that appears under its name only when all of it is there."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from ropelab.checkpoints.errors import CheckpointError


@contextlib.contextmanager
def whole_folder(directory: str | os.PathLike[str]) -> Iterator[Path]:
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
