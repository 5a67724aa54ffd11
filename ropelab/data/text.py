"""Evaluation texts: the documentation or sources of the running Python, or the user's own files."""

import hashlib
import sysconfig
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

_PYTHON_REFERENCE, _PYTHON_STDLIB = "python-reference", "python-stdlib"
_PROBE = (
    "A researcher who changes how a language model sees position wants to know two things before anything else: "
    "that the change was really made, and what it did. Position 1 is near, position 4096 is far, and between them lie "
    "sentences like this one, whose words depend on words before them. def attention(q, k, v): return softmax(q @ k.T) "
    "@ v  # every token asks every earlier token how much it matters. In 1963, 1975 and 2021 the answer was different; "
    "in the end the cat, which the dog that the boy owned had chased up the tall old tree, came down by itself. "
)


class Text(NamedTuple):
    """A text with its origin and its hash.

    Attributes:
        name: the name or path that it was read from.
        sha256: hash of its UTF-8 bytes.
    """

    name: str
    content: str
    sha256: str


class _TextEncoder(Protocol):
    """Anything that turns text into token ids."""

    def encode(self, text: str) -> list[int]: ...


def read_text(source: str) -> Text:
    """Read a text by name or path.

    Args:
        source: "python-reference", the language reference in `pydoc_data.topics` (0.75 MB of English);
            "python-stdlib", the standard library's sources; a UTF-8 file; or a folder, all of whose
            UTF-8 files are joined in sorted order.

    Raises:
        ValueError: if there is no such text, or it is not UTF-8.
    """
    if source == _PYTHON_REFERENCE:
        return _make_text(source, _read_python_reference())
    if source == _PYTHON_STDLIB:
        return _make_text(source, _join_files(sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))))
    path = Path(source).expanduser()
    if path.is_dir():
        return _make_text(str(path), _join_files(sorted(p for p in path.rglob("*") if p.is_file())))
    if not path.is_file():
        raise ValueError(
            f"no text at {source!r}; use {_PYTHON_REFERENCE!r}, {_PYTHON_STDLIB!r}, a UTF-8 file or a folder of them"
        )
    return _make_text(str(path), _read_file(path))


def _make_text(name: str, content: str) -> Text:
    return Text(name, content, hashlib.sha256(content.encode()).hexdigest())


def _read_python_reference() -> str:
    """Return the topics of Python's own help, in alphabetical order."""
    from pydoc_data import topics

    return "\n".join(topics.topics[name] for name in sorted(topics.topics))


def _join_files(paths: list[Path]) -> str:
    """Concatenate the files that are UTF-8 text."""
    parts = []
    for path in paths:
        try:
            parts.append(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue
    if not parts:
        folder = paths[0].parent if paths else "the folder"
        raise ValueError(f"no file of {folder} is UTF-8 text; use another folder")
    return "\n".join(parts)


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from None


def make_probe_tokens(tokenizer: _TextEncoder | None, vocabulary: int, count: int) -> np.ndarray:
    """Return token ids i32[1, count] of a fixed text; without a tokenizer, fixed pseudo-random ids."""
    if tokenizer is None:
        return np.random.default_rng(0).integers(0, vocabulary, (1, count), np.int32)
    ids = tokenizer.encode(_PROBE)
    return np.resize(np.asarray(ids, np.int32), (1, count))
