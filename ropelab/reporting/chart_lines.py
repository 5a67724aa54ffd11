"""What every drawing of a chart shares: axes, colours, markers, and its values side by side."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ropelab.reporting.axis import Axis, axis
from ropelab.reporting.page import Chart, Point, Series

COLOURS = 8
MARKERS = "osD^vPX"  # seven, so that fifty-six lines differ in colour or marker
FEW = 40  # points up to which each has a marker
SPARSE = 9  # markers of a line of more


class Style(NamedTuple):
    """How a line looks: a colour from 0 to 7, a marker by its letter in matplotlib, hollow if it is dashed."""

    colour: int
    marker: str
    dashed: bool


def styles(series: Sequence[Series]) -> list[Style]:
    """A style for each line; a dashed one has the colour and the marker of the line before it."""
    found: list[Style] = []
    number = -1
    for line in series:
        number += not line.dashed or number < 0
        found.append(Style(number % COLOURS, MARKERS[number % len(MARKERS)], line.dashed))
    return found


def axes(chart: Chart, most_x: int, most_y: int) -> tuple[Axis, Axis]:
    """The axes, which hold all points and bands, with no more ticks than given.

    Where the marks are powers of two, as trained lengths are, the ticks of a linear x are multiples of one.
    """
    points = [point for line in chart.series for point in line.points]
    bands = [y for p in points for y in (p.low, p.high) if y is not None]
    lengths = bool(chart.marks) and all(power_of_two(x) for x, _ in chart.marks)
    x = axis([p.x for p in points], log=chart.log_x, most=most_x, tight=True, binary=lengths)
    return x, axis([p.y for p in points] + bands, log=chart.log_y, most=most_y)


def power_of_two(value: float) -> bool:
    return value >= 1 and math.frexp(value)[0] == 0.5


def drawable(point: Point, chart: Chart) -> bool:
    """Whether a point has a place: both values finite, and positive where the axis is logarithmic."""
    finite = math.isfinite(point.x) and math.isfinite(point.y)
    return finite and (point.x > 0 or not chart.log_x) and (point.y > 0 or not chart.log_y)


def runs(line: Series, chart: Chart) -> list[list[Point]]:
    """The points of a line, parted where one has no place."""
    found: list[list[Point]] = [[]]
    for point in line.points:
        if drawable(point, chart):
            found[-1].append(point)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


def marked(count: int, line: int) -> range:
    """Which of so many points have a marker: all of a few, else some, at other places for every line."""
    if count <= FEW:
        return range(count)
    stride = count // SPARSE
    return range((stride // 2 + line * stride // COLOURS) % stride, count, stride)


class Grid(NamedTuple):
    """The points of a chart by x, one column for each line; None where a line has no point."""

    xs: Sequence[float]
    columns: Sequence[Sequence[Point | None]]

    def thinned(self, most: int) -> "Grid":
        """Every second, third, ... row, so that no more than `most` are left."""
        stride = max(math.ceil(len(self.xs) / most), 1)
        return Grid(self.xs[::stride], [column[::stride] for column in self.columns])


def grid(chart: Chart) -> Grid:
    xs = sorted({p.x for line in chart.series for p in line.points if math.isfinite(p.x)})
    by_x = [{point.x: point for point in line.points} for line in chart.series]
    return Grid(xs, [[points.get(x) for x in xs] for points in by_x])
