"""The fields of records that reports use, their types, and the checks when a file is read back.

Files of a run may be damaged, cut short, or of another program. What does not have the fields and types below raises a
`ValueError` that names the file, the field and the remedy, before anything is drawn.
"""

import csv
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

LARGEST = 2**63 - 1
REMEDY = "measure again, or leave that folder out"


class Type(NamedTuple):
    """What a field may hold.

    Attributes:
        words: the type as messages name it.
        types: Python's; a bool is no number.
        absent: the field may be missing, or null.
    """

    words: str
    types: tuple[type, ...]
    absent: bool = False

    def accepts(self, value: Any) -> bool:
        """Whether a field may have this value."""
        if value is None:
            return self.absent
        if not isinstance(value, self.types) or (isinstance(value, bool) and bool not in self.types):
            return False
        return abs(value) <= LARGEST if isinstance(value, int) else True


INTEGER, TEXT = Type("a whole number of 64 bits", (int,)), Type("a text", (str,))
NUMBER = Type("a number", (int, float))
OPTIONAL_NUMBER = NUMBER._replace(absent=True)
PLAIN = Type("a number, a text or null", (int, float, str, bool), absent=True)

Fields = Mapping[str, Type]
ROWS: Mapping[str, Fields] = {
    "metrics": {"step": INTEGER, "loss": NUMBER, "tokens": INTEGER},
    "evaluations": {
        "step": INTEGER, "pattern": TEXT, "length": INTEGER, "nll": NUMBER, "perplexity": NUMBER, "tokens": INTEGER,
    },
    "speed": {"tokens_per_second": NUMBER},
    "records": {
        "arm": TEXT, "eval": TEXT, "length": INTEGER, "value": OPTIONAL_NUMBER, "count": INTEGER, "protocol": TEXT,
        "depth": OPTIONAL_NUMBER, "deviation": OPTIONAL_NUMBER,
    },
    "starts": {"command": TEXT, "ropelab": TEXT, "jax": TEXT, "devices": TEXT, "processes": INTEGER},
}  # fmt: skip


def check_fields(value: Any, fields: Fields) -> dict[str, Any]:
    """A JSON object with these fields, those that may be absent as None.

    Raises:
        ValueError: naming the field, its value and its type.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.80} is not a JSON object")
    for name, kind in fields.items():
        if name not in value and not kind.absent:
            raise ValueError(f"it has no {name!r}")
        if not kind.accepts(value.get(name)):
            raise ValueError(f"{name}={value[name]!r:.80} is not {kind.words}")
    return dict.fromkeys(fields) | value


def loads(text: str) -> Any:
    """The value of a JSON text that can be written again.

    Raises:
        ValueError: if it is none, or holds half of a surrogate pair.
        RecursionError: if it is nested too deeply.
    """
    value = json.loads(text)
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value


def read_json(path: Path) -> Any:
    """What a file of JSON holds.

    Raises:
        ValueError: naming the file.
    """
    try:
        return loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}; {REMEDY}") from None


def read_object(path: Path, fields: Fields) -> dict[str, Any]:
    """The JSON object of a file, with these fields.

    Raises:
        ValueError: naming the file and the field.
    """
    found = read_json(path)
    try:
        return check_fields(found, fields)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; {REMEDY}") from None


def read_entries(path: Path) -> list[dict[str, Any]]:
    """The runs in the manifest of a sweep: `name`, and `command`, a list of words.

    Raises:
        ValueError: naming the file.
    """
    found = read_json(path)
    good = isinstance(found, list) and all(
        isinstance(one, dict)
        and isinstance(one.get("name"), str)
        and isinstance(one.get("command"), list)
        and all(isinstance(word, str) for word in one["command"])
        for one in found
    )
    if not good:
        raise ValueError(f"{path} is damaged: it is not a list of runs, each with a name and a command; {REMEDY}")
    return found


def read_receipts(path: Path) -> dict[str, dict[str, Any]]:
    """Receipts by arm; none if there is no such file.

    Raises:
        ValueError: naming the file and the arm.
    """
    found = read_object(path, {}) if path.is_file() else {}
    for arm, receipt in found.items():
        try:
            names = receipt if isinstance(receipt, dict) else ()
            check_fields(receipt, dict.fromkeys(names, PLAIN) | {"trained_length": INTEGER._replace(absent=True)})
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {arm!r:.80}: {error}; {REMEDY}") from None
    return found


def read_texts(path: Path) -> list[list[str]]:
    """The lines of a table that is kept as JSON, each a list of texts; none if there is no such file.

    Raises:
        ValueError: naming the file.
    """
    found = read_json(path) if path.is_file() else []
    lines: list[Any] = found if isinstance(found, list) else [None]
    if not all(isinstance(line, list) and line and all(isinstance(text, str) for text in line) for line in lines):
        raise ValueError(f"{path} is damaged: it is not a list of lists of texts; {REMEDY}")
    return lines


def read_csv(path: Path, types: Mapping[str, type]) -> Iterator[tuple[int, dict[str, str]]]:
    """`(line, row)` of a table whose columns of these names can be read as these types.

    Raises:
        ValueError: naming the file and the line.
    """
    line = 1
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line, row in enumerate(csv.DictReader(file), 2):
                if lost := [name for name in types if row.get(name) is None]:
                    raise ValueError(f"it has no {lost[0]!r}")
                for name, kind in types.items():
                    kind(row[name])
                yield line, {name: text for name, text in row.items() if name is not None and text is not None}
    except (ValueError, KeyError, TypeError, OverflowError, csv.Error) as error:
        raise ValueError(f"{path}, line {line}, is damaged: {type(error).__name__}: {error}; {REMEDY}") from None


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an archive of numpy's, none of them pickled.

    Raises:
        ValueError: naming the file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (
        ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, NotImplementedError, MemoryError,
        RuntimeError, OverflowError, SyntaxError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        why = " ".join(str(error).split())
        raise ValueError(f"{path} is damaged: {type(error).__name__}: {why:.200}; {REMEDY}") from None
