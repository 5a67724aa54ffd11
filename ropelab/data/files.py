"""The documents that files hold, and which of them are kept for measuring.

A file is for measuring if SHA-256 of its name, modulo 100, is below 7. That hangs on no other file, so that a folder
which grows keeps its division. Where this leaves one side empty, the file with the least hash is the test; a single
file is divided within, at a line's end, and its last 7 % are the test.
"""

import hashlib
import platform
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

TEST_PERCENT = 7
LONGEST = 1 << 22  # bytes of a document: what is tokenised at once, and read again when a run is resumed
INSTALLED = {"site-packages", "dist-packages"}


class Document(NamedTuple):
    """A text to be read when it is needed.

    Attributes:
        name: unique among those of its data.
        read: gives the text, or None if it is no UTF-8.
    """

    name: str
    read: Callable[[], str | None]


class Library(NamedTuple):
    """Documents to train and to measure on.

    Attributes:
        label: names the contents: other contents have another label.
        splits: the documents of "train" and "test".
    """

    label: str
    splits: dict[str, list[Document]]


def python_stdlib() -> Library:
    """Every .py file of the running Python's standard library, a document a file."""
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
    paths = {name: paths[name] for name in sorted(paths) if not INSTALLED & set(name.split("/"))}
    digest = digest_of(f"{name} {path.stat().st_size}\n".encode() for name, path in paths.items())
    documents = [Document(name, FileRead(path)) for name, path in paths.items()]
    return Library(f"{platform.python_version()}-{digest}", divide(documents))


def python_docs() -> Library:
    """Each topic of Python's help."""
    from pydoc_data import topics

    texts = {name: topics.topics[name] for name in sorted(topics.topics)}
    digest = digest_of(f"{name}\n{text}\n".encode() for name, text in texts.items())
    documents = [Document(name, TextRead(text)) for name, text in texts.items()]
    return Library(f"{platform.python_version()}-{digest}", divide(documents))


class FileRead(NamedTuple):
    """Reads the bytes begin:end of a file."""

    path: Path
    begin: int = 0
    end: int | None = None

    def __call__(self) -> str | None:
        with self.path.open("rb") as file:
            file.seek(self.begin)
            data = file.read(-1 if self.end is None else self.end - self.begin)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return None


class TextRead(NamedTuple):
    """Gives a text that is here already."""

    text: str

    def __call__(self) -> str:
        return self.text


def digest_of(parts: Iterable[bytes]) -> str:
    """Twelve hexadecimal digits that stand for these bytes."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()[:12]


def divide(documents: list[Document]) -> dict[str, list[Document]]:
    """Train and test, neither of them empty.

    Raises:
        ValueError: if there are fewer than two documents.
    """
    if len(documents) < 2:
        raise ValueError(f"{len(documents)} documents cannot be divided into train and test; give at least 2")
    number = {d.name: int.from_bytes(hashlib.sha256(d.name.encode()).digest(), "big") for d in documents}
    test = {name for name, n in number.items() if n % 100 < TEST_PERCENT}
    if not test or len(test) == len(number):
        test = {min(number, key=number.__getitem__)}
    return {
        "train": [d for d in documents if d.name not in test],
        "test": [d for d in documents if d.name in test],
    }


def spans(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts begin:end is cut into, at line ends, none longer than `LONGEST`."""
    while end - begin > LONGEST:
        stop = line_end(data, begin, begin + LONGEST)
        yield begin, stop
        begin = stop
    yield begin, end


def line_end(data: bytes, begin: int, end: int) -> int:
    """After the last line break in begin:end; if there is none, at the last whole character of it."""
    stop = data.rfind(b"\n", begin, end) + 1
    if stop > begin:
        return stop
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end -= 1
    return end
