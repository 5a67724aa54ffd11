"""A text file that grows by lines, on a disk or in a bucket.

On a disk each line is appended and in the hands of the operating system at once. An object in a bucket cannot grow,
so there the file is written anew whenever it is synced, which a checkpoint does before it counts on its lines.
"""

import os
from typing import TextIO

from etils import epath


class Lines:
    """The lines of one file; those that are there already and are to stay come first."""

    def __init__(self, path: epath.Path, kept: str):
        self._path, self._text = path, kept
        self._file: TextIO | None = None
        if "://" in os.fspath(path):
            return
        unfinished = path.with_name(path.name + ".unfinished")
        unfinished.write_text(kept)
        unfinished.replace(path)
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (open as long as the training runs)

    def add(self, line: str) -> None:
        if self._file is None:
            self._text += line
        else:
            self._file.write(line)
            self._file.flush()

    def sync(self) -> None:
        """Have every line where a crash of the machine leaves it."""
        if self._file is None:
            self._path.write_text(self._text)
        else:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self.sync()
        if self._file is not None:
            self._file.close()


class Nothing(Lines):
    """Takes lines and writes none: of the processes, only the first keeps records."""

    def __init__(self) -> None:
        pass

    def add(self, line: str) -> None:
        del line

    def sync(self) -> None:
        pass

    def close(self) -> None:
        pass
