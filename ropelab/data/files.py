"""Documents in files, and their split into train and test.

The test split of a set of files is the 7 % whose names have the smallest SHA-256, at least one: this is deterministic,
and adding a file moves few others. A single file is split at the last line break before 93 % of it.

A file of more than 4 MiB becomes several documents, cut at line breaks, because a document is tokenized at once, and
again when a run resumes.
"""

import contextlib
import hashlib
import io
import os
import platform
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_TEST_PERCENT = 7
MAX_DOCUMENT_BYTES = 1 << 22
_SKIPPED_FOLDERS = {"site-packages", "dist-packages", "__pycache__"}


class Document(NamedTuple):
    """A text that is read lazily.

    Attributes:
        name: unique in its dataset.
        path: the file that holds the text, None if `text` does.
        begin, end: the byte range of the document in the file; end=-1 means the end of the file.
        text: the text, for documents that are not in a file.
    """

    name: str
    path: Path | None = None
    begin: int = 0
    end: int = -1
    text: str = ""

    def read(self) -> str | None:
        """Return the text, or None if it is not UTF-8."""
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
    """Documents to train and to evaluate on.

    Attributes:
        label: identifies the contents; other contents have another label.
        train, test: disjoint lists of documents.
    """

    label: str
    train: list[Document]
    test: list[Document]


def list_python_stdlib() -> Library:
    """List the .py files of the running Python's standard library, one document per file."""
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = {path.relative_to(root).as_posix(): path for path in _walk_files(root) if path.suffix == ".py"}
    sizes = (f"{name} {path.stat().st_size}\n".encode() for name, path in paths.items())
    label = f"{platform.python_version()}-{_digest(sizes)}"
    return Library(label, *_split_documents([Document(name, path) for name, path in paths.items()]))


def list_python_docs() -> Library:
    """List the topics of Python's help, one document per topic."""
    from pydoc_data import topics

    texts = {name: topics.topics[name] for name in sorted(topics.topics)}
    contents = (f"{name}\n{text}\n".encode() for name, text in texts.items())
    label = f"{platform.python_version()}-{_digest(contents)}"
    return Library(label, *_split_documents([Document(name, text=text) for name, text in texts.items()]))


def list_local_text(place: str) -> Library:
    """List the UTF-8 files at a path, recursively; hidden files, empty files and other files are skipped.

    Args:
        place: a file or folder.

    Raises:
        ValueError: if there is no text at this path, or a single file is too short to be split.
    """
    path = Path(place).expanduser()
    if not place or not path.exists():
        raise ValueError(f'no file or folder at {place!r}; write source="local_text:/path/of/a/file/or/folder"')
    paths = {path.name: path} if path.is_file() else {p.relative_to(path).as_posix(): p for p in _walk_files(path)}
    total, documents = hashlib.sha256(), []
    for name, file in paths.items():
        data = file.read_bytes()
        if _is_text(data):
            total.update(f"{name} {len(data)}\n".encode() + data)
            documents.append(Document(name, file, 0, len(data)))
    if not documents:
        raise ValueError(f"{path} has no UTF-8 text; convert it, or use another file or folder")
    sides = _split_documents(documents) if len(documents) > 1 else _split_file(documents[0])
    train, test = ([part for document in side for part in _split_long(document)] for side in sides)
    return Library(total.hexdigest()[:12], train, test)


def _walk_files(root: Path) -> Iterator[Path]:
    """Yield the files of a folder recursively, in a fixed order, without hidden files and installed packages."""
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name not in _SKIPPED_FOLDERS and not name.startswith("."))
        paths = (Path(folder) / name for name in sorted(names) if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def _digest(contents: Iterable[bytes]) -> str:
    """Return the first twelve hexadecimal digits of the SHA-256 of these bytes."""
    total = hashlib.sha256()
    for content in contents:
        total.update(content)
    return total.hexdigest()[:12]


def _split_documents(documents: list[Document]) -> tuple[list[Document], list[Document]]:
    """Split documents into train and test, neither of them empty.

    Raises:
        ValueError: for fewer than two documents.
    """
    if len(documents) < 2:
        raise ValueError(f"{len(documents)} documents cannot be split into train and test; use at least 2")
    order = sorted(documents, key=lambda d: hashlib.sha256(d.name.encode()).digest())
    test = {d.name for d in order[: max(1, round(len(order) * _TEST_PERCENT / 100))]}
    return [d for d in documents if d.name not in test], [d for d in documents if d.name in test]


def _is_text(data: bytes) -> bool:
    try:
        return bool(data.decode("utf-8").strip())
    except UnicodeDecodeError:
        return False


def _split_file(document: Document) -> tuple[list[Document], list[Document]]:
    """Split a single file: train on its beginning, test on its end."""
    assert document.path is not None
    data = document.path.read_bytes()
    stop = _find_cut(data, 0, len(data) * (100 - _TEST_PERCENT) // 100)
    if not 0 < stop < len(data):
        raise ValueError(f"{document.path} has {len(data)} bytes, too few for a train and a test split; use more text")
    return [document._replace(end=stop)], [document._replace(begin=stop)]


def _split_long(document: Document) -> Iterator[Document]:
    """Cut a document into parts of at most `MAX_DOCUMENT_BYTES`."""
    begin, end = document.begin, document.end
    if end - begin <= MAX_DOCUMENT_BYTES:
        yield document
        return
    assert document.path is not None
    data = document.path.read_bytes()
    while begin < end:
        stop = end if end - begin <= MAX_DOCUMENT_BYTES else _find_cut(data, begin, begin + MAX_DOCUMENT_BYTES)
        yield document._replace(name=f"{document.name}[{begin}:{stop}]", begin=begin, end=stop)
        begin = stop


def _find_cut(data: bytes, begin: int, end: int) -> int:
    """Return the index after the last line break in the second half of begin:end, else of the character at `end`."""
    line = data.rfind(b"\n", (begin + end) // 2, end) + 1
    if line:
        return line
    while end > begin and data[end] & 0xC0 == 0x80:
        end -= 1
    return end


@contextlib.contextmanager
def silence_output() -> Iterator[None]:
    """Suppress stdout, stderr and absl warnings: TFDS's progress bars and its warnings about unknown names."""
    from absl import logging

    verbosity, nowhere = logging.get_verbosity(), io.StringIO()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
    finally:
        logging.set_verbosity(verbosity)
