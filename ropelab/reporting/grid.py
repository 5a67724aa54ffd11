"""Readings as tables and charts of a page, and the tables of papers as they were printed."""

import math
from collections.abc import Callable, Mapping, Sequence

from ropelab.reporting import intervals
from ropelab.reporting.numbers import number
from ropelab.reporting.page import Cell, Chart, Point, Series, Table
from ropelab.reporting.readings import Column, Number, Readings

Labels = Mapping[str, str]  # arm → as it is printed, in the order of the table


def table(
    title: str,
    readings: Readings,
    arms: Labels,
    columns: Sequence[Column],
    *,
    head: str = "arm",
    heads: Mapping[Column, str] | None = None,
    best: Callable[[Sequence[float]], float] | None = min,
    note: str = "",
) -> Table:
    """Arms down, columns across: the mean over seeds ± half of Student's interval, the best of each column marked."""
    there = {arm: label for arm, label in arms.items() if arm in readings}
    tops = {c: top([middle(readings[arm].get(c, {})) for arm in there], best) for c in columns}
    rows = [[Cell(label), *(cell(readings[arm].get(c, {}), tops[c]) for c in columns)] for arm, label in there.items()]
    return Table(title, [head, *((heads or {}).get(c, str(c)) for c in columns)], rows, note)


def middle(numbers: Mapping[int, Number]) -> float | None:
    return sum(one.value for one in numbers.values()) / len(numbers) if numbers else None


def top(values: Sequence[float | None], best: Callable[[Sequence[float]], float] | None) -> float | None:
    """The best finite value of a column; None where no value is better than the rest."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return best(known) if best is not None and len(set(known)) > 1 else None


def cell(numbers: Mapping[int, Number], best: float | None) -> Cell:
    """A number with its interval and all its records."""
    if not numbers:
        return Cell("–")
    values = [float(one.value) for one in numbers.values()]
    sources = tuple(source for one in numbers.values() for source in one.sources)
    if not all(map(math.isfinite, values)):
        worst = math.nan if any(map(math.isnan, values)) else sum(values)
        return Cell(number(worst), worst, None, False, sources)
    value, half = intervals.mean(values)
    spread = half if len(set(values)) > 1 else None  # what is computed and not measured is the same in every seed
    return Cell(aligned(value, values), value, spread, value == best, sources)


def aligned(value: float, values: Sequence[float]) -> str:
    """Four significant digits, with their zeros; of whole numbers no digits after the point."""
    if abs(value) >= 1000 or all(one.is_integer() for one in (value, *values)):
        return f"{value:.0f}"
    return f"{value:#.4g}".rstrip(".") if abs(value) >= 1e-4 or not value else number(value)


def printed(title: str, text: str, note: str) -> Table:
    """A table as a paper printed it, from lines whose cells stand between bars; the first line is the head."""
    lines = [[part.strip() for part in line.split("|")] for line in text.strip().splitlines()]
    return Table(title, lines[0], [[Cell(part) for part in line] for line in lines[1:]], note)


def chart(
    title: str,
    readings: Readings,
    arms: Labels,
    *,
    x: str,
    y: str,
    dashed: Sequence[str] = (),
    log_x: bool = True,
    log_y: bool = True,
    marks: Sequence[tuple[float, str]] = (),
    note: str = "",
) -> Chart:
    """A line for each arm over its whole-numbered columns, the band between the lowest and the highest seed."""
    lines = []
    for arm, label in arms.items():
        own = {c: n for c, n in readings.get(arm, {}).items() if isinstance(c, int)}
        points = [point(c, [one.value for one in own[c].values()]) for c in sorted(own)]
        if points:
            lines.append(Series(label, points, arm in dashed))
    return Chart(title, x, y, lines, log_x, log_y, marks, note)


def point(x: float, values: Sequence[float]) -> Point:
    mean = sum(values) / len(values)
    return Point(x, mean, min(values), max(values)) if len(values) > 1 else Point(x, mean)
