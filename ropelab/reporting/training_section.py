"""Trainings of a folder as a section of a page: what they came to, how they got there, and in what they differ."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ropelab.reporting import grid
from ropelab.reporting.page import Cell, Chart, Point, Section, Series, Table, code
from ropelab.reporting.readings import Readings, as_perplexity, columns, last_step, name_and_seed, read, read_training
from ropelab.reporting.run_files import names, rows, settings

CURVE = 200  # points of a curve of losses
NOT_SHOWN = ("seed", "held.", "saving.")  # settings that do not change what a training is


def is_training(root: Path) -> bool:
    return (root / "plan.json").is_file()


def trainings_of(root: Path) -> dict[str, Path]:
    """The trainings that a folder holds, or is, by name."""
    return {root.name: root} if is_training(root) else {name: root / name for name in names(root)}


def trainings_section(roots: Sequence[Path]) -> Section:
    """The trainings of one folder, or of several, whose arms then begin with the name of the folder."""
    found = {}
    for root in roots:
        prefix = f"{root.name}/" if len(roots) > 1 and not is_training(root) else ""
        found |= {prefix + name: folder for name, folder in trainings_of(root).items()}
    values = last_evaluations(found)
    arms = {arm: code(arm) for arm in values}
    note = "Perplexity of held-out text after the last step. Mean over seeds ± the half-width of the 95 % t interval."
    tables = [grid.table("Perplexity by length", values, arms, columns(values), note=note)] if values else []
    return Section(
        f"Trainings: {', '.join(root.name for root in roots)}",
        "What did each training come to?",
        (),
        [*tables, losses(found), *differences(found)],
        lead(found, tables[0] if tables else None),
    )


def lead(found: Mapping[str, Path], table: Table | None) -> str:
    """How many trainings there are, and which is the best at the longest length."""
    arms = {name_and_seed(name)[0] for name in found}
    said = f"{counted(len(found), 'training')} of {counted(len(arms), 'variant')}."
    if table is None or len(table.rows) < 2:
        return said
    best = [row[0].text for row in table.rows if row[-1].best]
    stands_out = f"the lowest perplexity is that of {' and '.join(best)}" if best else "no variant stands out"
    return f"{said} At {table.head[-1]} tokens {stands_out}."


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def last_evaluations(found: Mapping[str, Path]) -> Readings:
    """Return perplexity by length; the variant names the pattern where a training was measured under several."""
    records = []
    for name, folder in found.items():
        measured = read_training(folder, folder.parent)
        several = len({record.pattern for record in measured}) > 1
        variant, seed = name_and_seed(name)
        for record in last_step(measured):
            own = f"{variant}, {record.pattern}" if several else variant
            records.append(record.replace(variant=own, seed=seed))
    return read(records, value=as_perplexity)


def losses(found: Mapping[str, Path]) -> Chart:
    """The training loss by tokens, averaged over equal stretches."""
    series = []
    for name, folder in found.items():
        measured = rows(folder, "metrics")
        size = max(1, len(measured) // CURVE)
        stretches = [measured[start : start + size] for start in range(0, len(measured), size)]
        points = [Point(part[-1]["tokens"], sum(row["loss"] for row in part) / len(part)) for part in stretches]
        if points:
            series.append(Series(name, points))
    return Chart("Training loss", "tokens", "nats per token", series)


def differences(found: Mapping[str, Path]) -> list[Table]:
    """The settings that are not the same in all trainings, an arm a row; nothing if there are none."""
    by_arm: dict[str, dict[str, Any]] = {}
    for name, folder in found.items():
        by_arm.setdefault(name_and_seed(name)[0], settings(folder))
    fields = list(dict.fromkeys(field for own in by_arm.values() for field in own))
    shown = [
        field
        for field in fields
        if not field.startswith(NOT_SHOWN) and len({str(own.get(field)) for own in by_arm.values()}) > 1
    ]
    lines_of = [[Cell(arm), *(Cell(code(str(own.get(field, "–")))) for field in shown)] for arm, own in by_arm.items()]
    return [Table("Settings that differ", ["arm", *shown], lines_of)] if shown else []
