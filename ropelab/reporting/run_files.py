"""Read back what runs wrote: records, tables as JSON lines, settings of a plan, receipts, arrays.

Files of a run may be damaged, cut short, or of another program. One without the fields and types below raises a
`ValueError` that names the file, the field and the remedy, before anything is drawn. Records of ropelab 0.1 are read as
those of this version.
"""

import csv
import dataclasses
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ropelab.evaluation.record import COLUMNS, Protocol, Record, upgrade_0_1
from ropelab.reporting.numbers import as_number

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
    "starts": {"command": TEXT, "ropelab": TEXT, "jax": TEXT, "devices": TEXT, "processes": INTEGER},
}  # fmt: skip


OPTIONAL_INTEGER = INTEGER._replace(absent=True)
RECORD: Fields = {
    "model": TEXT, "variant": TEXT, "encoding": TEXT, "pattern": TEXT, "kernel": TEXT, "evaluation": TEXT,
    "metric": TEXT, "length": INTEGER, "seed": INTEGER, "value": OPTIONAL_NUMBER, "count": INTEGER, "protocol": TEXT,
    "depth": OPTIONAL_NUMBER, "deviation": OPTIONAL_NUMBER,
} | dict.fromkeys(("window", "first", "last", "step", "layer", "head"), OPTIONAL_INTEGER)  # fmt: skip
RECORD_0_1: Fields = {
    "arm": TEXT, "eval": TEXT, "length": INTEGER, "value": OPTIONAL_NUMBER, "count": INTEGER, "protocol": TEXT,
    "depth": OPTIONAL_NUMBER, "deviation": OPTIONAL_NUMBER,
}  # fmt: skip
RECORDS = "records.jsonl"


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


Row = Mapping[str, Any]


def rows(folder: Path, table: str) -> list[Row]:
    """The rows of a table of one run."""
    return list(read_rows(folder / f"{table}.jsonl", ROWS.get(table, {})))


def read_rows(path: Path, fields: Fields | None = None) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines, non-finite numbers as floats; none if there is no file.

    A last line without its end is skipped: it is being written, or its writer was killed.

    Args:
        fields: that every row must have.

    Raises:
        ValueError: for another line that is no JSON object, or lacks a field or has one of another type;
            it names file and line.
    """
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged: {error}; remove the file, or measure again") from None
    lines, found = text.splitlines(), []
    for number, line in enumerate(lines, 1):
        try:
            row = loads(line)
            named = row.items() if isinstance(row, dict) else ()
            row = check_fields({name: as_number(name, value) for name, value in named} if named else row, fields or {})
        except (ValueError, RecursionError) as error:
            if number == len(lines) and not text.endswith("\n"):
                break
            raise ValueError(f"{path}, line {number}, is damaged: {error}; remove the line, or measure again") from None
        found.append(row)
    return found


def settings(folder: Path) -> dict[str, Any]:
    """The settings of a run, as its plan has them.

    Raises:
        ValueError: for a plan without settings, naming the file.
    """
    path = folder / "plan.json"
    found = read_object(path, {}).get("settings")
    try:
        return check_fields(found, dict.fromkeys(found if isinstance(found, dict) else (), TEXT))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: settings: {error}; leave that folder out") from None


def evaluations(workdir: Path) -> dict[str, list[Row]]:
    """The evaluations of every finished run in a folder of runs.

    Raises:
        ValueError: if there is none.
    """
    found = {name: rows(workdir / name, "evaluations") for name in names(workdir) if finished(workdir / name)}
    if not found:
        raise ValueError(f"{workdir} holds no run that is finished and has evaluations; train first")
    return found


def names(workdir: Path) -> list[str]:
    """The runs in a folder."""
    return sorted(path.parent.name for path in workdir.glob("*/plan.json"))


def finished(folder: Path) -> bool:
    """Whether a run has measured after its last step, and was saved there."""
    table, steps = rows(folder, "evaluations"), setting(folder, "steps")
    sealed = folder / "checkpoints" / steps / "manifest.json"
    return bool(table) and str(table[-1].get("step")) == steps and sealed.is_file()


def setting(folder: Path, name: str) -> str:
    """What a run was asked to do, as it is written in its plan."""
    return settings(folder).get(name, "")


def last(table: list[Row]) -> list[Row]:
    """The rows of the last step."""
    return [row for row in table if row["step"] == table[-1]["step"]]


def has_records(folder: Path) -> bool:
    """Return whether a folder has records."""
    return (folder / RECORDS).is_file()


def protocols_path(path: Path) -> Path:
    """Return the file with the protocols of a file of records."""
    return path.with_name(f"{path.stem}.protocols.json")


def read_records(path: Path, root: Path | None = None) -> list[Record]:
    """Return the records of a file, or of a folder's `records.jsonl`; none if there is no file.

    Args:
        root: the folder to which the sources of records are relative; that of the file if not given.

    Raises:
        ValueError: if a line or the file with the protocols is damaged, naming it.
    """
    path = path / RECORDS if path.is_dir() else path
    place = path.relative_to(root or path.parent).as_posix()
    protocols = _read_protocols(protocols_path(path))
    records = []
    for number, row in enumerate(read_rows(path), 1):
        try:
            found = _record_fields(row, protocols)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}, is damaged: {error}; remove the line, or measure again") from None
        records.append(Record(**found, sources=(f"{place}:{number}",)))
    return records


def _record_fields(row: Mapping[str, Any], protocols: Mapping[str, Protocol]) -> dict[str, Any]:
    if "arm" in row and "variant" not in row:
        checked = check_fields(dict(row), RECORD_0_1)
        return upgrade_0_1(checked | {"protocol": Protocol(method=_SEED.sub("", checked["protocol"]))})
    checked = check_fields(dict(row), RECORD)
    if checked["protocol"] not in protocols:
        raise ValueError(f"protocol={checked['protocol']!r} is not in the file of protocols next to it")
    return {name: checked[name] for name in COLUMNS} | {"protocol": protocols[checked["protocol"]]}


_SEED = re.compile(r"; seed \d+(?=;|$)")  # 0.1 had the seed of a record in its protocol as well


def _read_protocols(path: Path) -> dict[str, Protocol]:
    names = [field.name for field in dataclasses.fields(Protocol)]
    found = read_object(path, {}) if path.is_file() else {}
    try:
        return {
            key: Protocol(**{name: check_fields(one, dict.fromkeys(names, TEXT))[name] for name in names})
            for key, one in found.items()
        }
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; {REMEDY}") from None
