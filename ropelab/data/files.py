"""The documents that files hold, and which of them are kept to be measured on.

The 7 % of the files whose names have the least SHA-256 are for measuring, one at least: no chance is in it, and a file
that is added moves few others. A single file is divided within: what follows the last line break before 93 % of it is
the test.

A file of more than 4 MiB is several documents, cut at line breaks: a document is tokenised at once, and again when a
run is resumed.
"""

import hashlib
import os
import platform
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

TEST_PERCENT = 7
LONGEST = 1 << 22
PASSED_OVER = {"site-packages", "dist-packages", "__pycache__"}


class Document(NamedTuple):
    """A text that is read when it is needed.

    Attributes:
        name: unique among those of its data.
        path: the file, if it is in one.
        begin, end: the bytes of the file that are the document; to its end if end is -1.
        text: what is here already.
    """

    name: str
    path: Path | None = None
    begin: int = 0
    end: int = -1
    text: str = ""

    def read(self) -> str | None:
        """The text, None if it is not UTF-8."""
        if self.path is None:
            return self.text
        with self.path.open("rb") as file:
            file.seek(self.begin)
            data = file.read(-1 if self.end < 0 else self.end - self.begin)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return None


class Library(NamedTuple):
    """Documents to train and to measure on.

    Attributes:
        label: stands for the contents: other contents have another label.
        train, test: documents, none in both.
    """

    label: str
    train: list[Document]
    test: list[Document]


def python_stdlib() -> Library:
    """Every .py file of the running Python's standard library, a document a file."""
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = {path.relative_to(root).as_posix(): path for path in walk(root) if path.suffix == ".py"}
    sizes = (f"{name} {path.stat().st_size}\n".encode() for name, path in paths.items())
    label = f"{platform.python_version()}-{digest(sizes)}"
    return Library(label, *divided([Document(name, path) for name, path in paths.items()]))


def python_docs() -> Library:
    """Each topic of Python's help."""
    from pydoc_data import topics

    texts = {name: topics.topics[name] for name in sorted(topics.topics)}
    contents = (f"{name}\n{text}\n".encode() for name, text in texts.items())
    label = f"{platform.python_version()}-{digest(contents)}"
    return Library(label, *divided([Document(name, text=text) for name, text in texts.items()]))


def local_text(place: str) -> Library:
    """A file, or the UTF-8 files of a folder and those below it; hidden, empty and other files are passed over.

    Raises:
        ValueError: if there is no text at this place, or a single file is too short to be divided.
    """
    path = Path(place).expanduser()
    if not place or not path.exists():
        raise ValueError(f'no file or folder at {place!r}; write source="local_text:/path/of/a/file/or/folder"')
    paths = {path.name: path} if path.is_file() else {p.relative_to(path).as_posix(): p for p in walk(path)}
    total, whole = hashlib.sha256(), []
    for name, file in paths.items():
        data = file.read_bytes()
        if is_text(data):
            total.update(f"{name} {len(data)}\n".encode() + data)
            whole.append(Document(name, file, 0, len(data)))
    if not whole:
        raise ValueError(f"{path} holds no UTF-8 text; convert it, or give another file or folder")
    sides = divided(whole) if len(whole) > 1 else within(whole[0])
    train, test = ([part for document in side for part in parts(document)] for side in sides)
    return Library(total.hexdigest()[:12], train, test)


def walk(root: Path) -> Iterator[Path]:
    """The files of a folder and those below it, in a fixed order, without installed packages and hidden ones."""
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name not in PASSED_OVER and not name.startswith("."))
        paths = (Path(folder) / name for name in sorted(names) if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def digest(contents: Iterable[bytes]) -> str:
    """Twelve hexadecimal digits that stand for these bytes."""
    total = hashlib.sha256()
    for content in contents:
        total.update(content)
    return total.hexdigest()[:12]


def divided(documents: list[Document]) -> tuple[list[Document], list[Document]]:
    """Train and test, neither of them empty.

    Raises:
        ValueError: for fewer than two documents.
    """
    if len(documents) < 2:
        raise ValueError(f"{len(documents)} documents cannot be divided into train and test; give at least 2")
    order = sorted(documents, key=lambda d: hashlib.sha256(d.name.encode()).digest())
    test = {d.name for d in order[: max(1, round(len(order) * TEST_PERCENT / 100))]}
    return [d for d in documents if d.name not in test], [d for d in documents if d.name in test]


def is_text(data: bytes) -> bool:
    try:
        return bool(data.decode("utf-8").strip())
    except UnicodeDecodeError:
        return False


def within(document: Document) -> tuple[list[Document], list[Document]]:
    """The beginning of a single file to train on, and its end to be measured on."""
    assert document.path is not None
    data = document.path.read_bytes()
    stop = cut(data, 0, len(data) * (100 - TEST_PERCENT) // 100)
    if not 0 < stop < len(data):
        raise ValueError(f"{document.path} has {len(data)} bytes, too few to train and to be measured on; give more")
    return [document._replace(end=stop)], [document._replace(begin=stop)]


def parts(document: Document) -> Iterator[Document]:
    """What a document is cut into, none longer than `LONGEST`."""
    begin, end = document.begin, document.end
    if end - begin <= LONGEST:
        yield document
        return
    assert document.path is not None
    data = document.path.read_bytes()
    while begin < end:
        stop = end if end - begin <= LONGEST else cut(data, begin, begin + LONGEST)
        yield document._replace(name=f"{document.name}[{begin}:{stop}]", begin=begin, end=stop)
        begin = stop


def cut(data: bytes, begin: int, end: int) -> int:
    """After the last line break in the second half of begin:end or, without one, before the character at `end`."""
    line = data.rfind(b"\n", (begin + end) // 2, end) + 1
    if line:
        return line
    while end > begin and data[end] & 0xC0 == 0x80:
        end -= 1
    return end
