"""Readings as tables and charts of a page, and the tables of papers as they were printed."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from ropelab.evaluation import intervals
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
    best: Callable[[Iterable[float]], float] | None = min,
    note: str = "",
) -> Table:
    """Arms down, columns across: the mean over seeds ± the half-width of its 95 % t interval, the best of each column
    marked where no other's interval overlaps its own."""
    there = {arm: label for arm, label in arms.items() if arm in readings}
    tops = {c: top({arm: readings[arm].get(c, {}) for arm in there}, best) for c in columns}
    rows = [
        [Cell(label), *(cell(readings[arm].get(c, {}), arm in tops[c]) for c in columns)]
        for arm, label in there.items()
    ]
    return Table(title, [head, *((heads or {}).get(c, str(c)) for c in columns)], rows, note)


def top(by_arm: Mapping[str, Mapping[int, Number]], best: Callable[[Iterable[float]], float] | None) -> set[str]:
    """The arms that are the best of a column."""
    if best is None:
        return set()
    return intervals.clear_best({arm: spread(numbers) for arm, numbers in by_arm.items() if numbers}, best)


def spread(numbers: Mapping[int, Number]) -> intervals.Interval:
    """The mean over seeds and its interval."""
    values = [float(one.value) for one in numbers.values()]
    if not all(map(math.isfinite, values)):
        return intervals.Interval(math.nan, math.nan, math.nan)
    value, half = intervals.mean_and_half_width(values)
    return intervals.Interval(value, value - half, value + half)


def cell(numbers: Mapping[int, Number], best: bool) -> Cell:
    """A number with its interval and all its records."""
    if not numbers:
        return Cell("–")
    values = [float(one.value) for one in numbers.values()]
    sources = tuple(source for one in numbers.values() for source in one.sources)
    if not all(map(math.isfinite, values)):
        worst = math.nan if any(map(math.isnan, values)) else sum(values)
        return Cell(number(worst), worst, None, False, sources)
    value, half = intervals.mean_and_half_width(values)
    shown = half if len(set(values)) > 1 else None  # what is computed and not measured is the same in every seed
    return Cell(aligned(value, values), value, shown, best, sources)


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
