"""What trainings wrote down, read back: the rows of their tables, by the name of their folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def rows(folder: Path, table: str) -> list[Row]:
    """The rows of a table of one run."""
    path = folder / f"{table}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


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
    return bool(table) and str(table[-1]["step"]) == steps and sealed.is_file()


def setting(folder: Path, name: str) -> str:
    """What a run was asked to do, as it is written in its plan."""
    return json.loads((folder / "plan.json").read_text(encoding="utf-8"))["settings"][name]


def last(table: list[Row]) -> list[Row]:
    """The rows of the last step."""
    return [row for row in table if row["step"] == table[-1]["step"]]


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """A table: the first column to the left, the others to the right."""
    rule = ["---", *(["---:"] * (len(head) - 1))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *lines))
