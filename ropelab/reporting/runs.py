"""Reading back what trainings and evaluations wrote: records as JSON lines, and the settings of a plan."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ropelab.reporting.numbers import as_number
from ropelab.reporting.schema import ROWS, TEXT, Fields, check_fields, loads, read_object

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


NUMBER = re.compile(r"[*✓✗<>~ ]*[-−+]?(\d|∞|inf\b|nan\b|–|\.\d)")  # how a cell with a number begins


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """A table: the first column and those of text to the left, those of numbers to the right."""
    columns = [[cells[n] for cells in lines if n < len(cells) and cells[n]] for n in range(len(head))]
    rule = ["---:" if n and all(map(NUMBER.match, cells)) else "---" for n, cells in enumerate(columns)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *lines))
