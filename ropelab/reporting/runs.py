"""Reading back what trainings and evaluations wrote: records as JSON lines, and the settings of a plan."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ropelab.reporting.numbers import as_number

Row = Mapping[str, Any]
NEEDED = {
    "metrics": ("step", "loss", "tokens"),
    "evaluations": ("step", "pattern", "length", "perplexity"),
    "speed": ("tokens_per_second",),
    "records": ("arm", "eval", "length", "value", "count", "protocol"),
    "starts": ("command", "ropelab", "jax", "devices", "processes"),
}  # fields of each table that reports use


def rows(folder: Path, table: str) -> list[Row]:
    """The rows of a table of one run."""
    return list(read_rows(folder / f"{table}.jsonl", NEEDED.get(table, ())))


def read_rows(path: Path, needed: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines, non-finite numbers as floats; none if there is no file.

    A last line without its end is skipped: it is being written, or its writer was killed.

    Args:
        needed: fields that every row must have.

    Raises:
        ValueError: for another line that is no JSON object or lacks a field, naming file and line.
    """
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    lines, found = text.splitlines(), []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"{row!r:.80} is no object")
            if lost := [name for name in needed if name not in row]:
                raise ValueError(f"it has no {lost[0]!r}")
        except (ValueError, RecursionError) as error:
            if number == len(lines) and not text.endswith("\n"):
                break
            raise ValueError(f"{path}, line {number}, is damaged: {error}; remove the line, or measure again") from None
        found.append({name: as_number(name, value) for name, value in row.items()})
    return found


def settings(folder: Path) -> dict[str, Any]:
    """The settings of a run, as its plan has them.

    Raises:
        ValueError: for a plan without settings, naming the file.
    """
    path = folder / "plan.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["settings"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {type(error).__name__}: {error}; leave that folder out") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged: settings={found!r:.80} is not an object; leave that folder out")
    return found


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
