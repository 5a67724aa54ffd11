"""A chart as SVG that needs no script: axes, lines, bands, marks. Colours are classes, for the page to settle."""

import math
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import NamedTuple

from ropelab.reporting.axis import Axis, label, labels
from ropelab.reporting.chart_lines import FEW, Style, axes, marked, runs, styles
from ropelab.reporting.numbers import number
from ropelab.reporting.page import Chart, Point, Series, uncoded


class Size(NamedTuple):
    """Of a drawing, in pixels at its natural size, and the most ticks it has room for."""

    width: int
    height: int
    ticks_x: int
    ticks_y: int


WIDE = Size(760, 400, 9, 7)
NARROW = Size(350, 290, 5, 6)
TOP, RIGHT, BOTTOM, LINE = 34, 22, 46, 15
LETTER = 7.5  # width of a digit


class Frame(NamedTuple):
    """The rectangle of the values and its axes."""

    left: float
    right: float
    top: float
    bottom: float
    x: Axis
    y: Axis

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = self.left + self.x.at(x) * (self.right - self.left)
        return round(across, 1), round(self.bottom - self.y.at(y) * (self.bottom - self.top), 1)


def svg(chart: Chart, *, name: str, size: Size = WIDE) -> str:
    """The chart as one `<svg>` element, with its title and a description in words.

    Args:
        name: starts the ids in it; no two drawings of a page may share one.
    """
    frame = framed(chart, size)
    root = ET.Element("svg", viewBox=f"0 0 {size.width} {size.height}", role="img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for key in ("left", "right", "top", "bottom"):
        root.set(f"data-{key}", f"{getattr(frame, key):g}")
    root.set("data-low", repr(frame.x.low))
    root.set("data-high", repr(frame.x.high))
    root.set("data-log", str(frame.x.log).lower())
    text(root, "title", chart.title, id=f"{name}-title")
    text(root, "desc", described(chart), id=f"{name}-desc")
    scales(root, chart, frame)
    marks(root, chart, frame)
    looks = styles(chart.series)
    for index, (line, style) in enumerate(zip(chart.series, looks, strict=True)):
        group = ET.SubElement(root, "g", {"class": f"line c{style.colour}" + (" dashed" if style.dashed else "")})
        draw(group, line, style, chart, frame, index)
    edge = {"x1": "0", "x2": "0", "y1": f"{frame.top:g}", "y2": f"{frame.bottom:g}"}
    ET.SubElement(root, "line", {"class": "cursor", "visibility": "hidden", **edge})
    return ET.tostring(root, encoding="unicode")


def text(parent: ET.Element, tag: str, content: str, **attributes: str) -> None:
    names = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    ET.SubElement(parent, tag, names).text = uncoded(content)


def framed(chart: Chart, size: Size) -> Frame:
    x, y = axes(chart, size.ticks_x, size.ticks_y)
    widest = max(map(len, labels(y.ticks)), default=1)
    return Frame(14 + LETTER * widest, size.width - RIGHT, TOP, size.height - BOTTOM, x, y)


def described(chart: Chart) -> str:
    """The chart in words: what stands against what, and where each line begins and ends."""
    lines = [f"{chart.y} against {chart.x}."]
    for line in chart.series:
        points = [p for run in runs(line, chart) for p in run]
        if points:
            first, last = points[0], points[-1]
            ends = f"{number(first.y)} at {number(first.x)} to {number(last.y)} at {number(last.x)}"
            lines.append(f"{line.name}: from {ends}.")
    lines.extend(f"Marked: {what} at {number(x)}." for x, what in chart.marks)
    return " ".join(lines)


def scales(root: ET.Element, chart: Chart, frame: Frame) -> None:
    """Grid, ticks and the names of the axes, that of y above it, where it is read without turning the head."""
    group = ET.SubElement(root, "g", {"class": "scales", "aria-hidden": "true"})
    left, right, bottom = (f"{edge:g}" for edge in (frame.left, frame.right, frame.bottom))
    for tick, shown in zip(frame.y.ticks, labels(frame.y.ticks), strict=True):
        _, y = frame.place(frame.x.low, tick)
        ET.SubElement(group, "line", {"class": "grid", "x1": left, "x2": right, "y1": f"{y:g}", "y2": f"{y:g}"})
        text(group, "text", shown, x=f"{frame.left - 8:g}", y=f"{y + 4:g}", text_anchor="end")
    for tick, shown in zip(frame.x.ticks, labels(frame.x.ticks), strict=True):
        x, _ = frame.place(tick, frame.y.low)
        lower = f"{frame.bottom + 5:g}"
        ET.SubElement(group, "line", {"class": "tick", "x1": f"{x:g}", "x2": f"{x:g}", "y1": bottom, "y2": lower})
        text(group, "text", shown, x=f"{x:g}", y=f"{frame.bottom + 19:g}", text_anchor="middle")
    ET.SubElement(group, "line", {"class": "tick", "x1": left, "x2": right, "y1": bottom, "y2": bottom})
    text(group, "text", chart.y, x="0", y="13", class_="name")
    text(group, "text", chart.x, x=right, y=f"{frame.bottom + 39:g}", text_anchor="end", class_="name")


def marks(root: ET.Element, chart: Chart, frame: Frame) -> None:
    """Vertical lines, each with what it is, on the side that has room."""
    within = [(x, what) for x, what in chart.marks if math.isfinite(x) and frame.x.holds(x)]
    for row, (value, what) in enumerate(within):
        x, _ = frame.place(value, frame.y.low)
        group = ET.SubElement(root, "g", {"class": "mark"})
        ends = {"y1": f"{frame.top:g}", "y2": f"{frame.bottom:g}"}
        ET.SubElement(group, "line", {"x1": f"{x:g}", "x2": f"{x:g}", **ends})
        room = max(x - frame.left, frame.right - x)
        before = room > frame.right - x
        anchor, shift = ("end", -5) if before else ("start", 5)
        shown = textwrap.shorten(what, max(int(room / LETTER), 8), placeholder=" …")
        text(group, "text", shown, x=f"{x + shift:g}", y=f"{frame.top + 10 + LINE * row:g}", text_anchor=anchor)


def draw(group: ET.Element, line: Series, style: Style, chart: Chart, frame: Frame, index: int) -> None:
    """One line: its band, itself, its markers; the value of each marker where each point has one."""
    found = runs(line, chart)
    for run in found:
        if len(run) > 1 and all(p.low is not None and p.high is not None for p in run):
            ET.SubElement(group, "path", {"class": "band", "d": band(run, frame)})
        else:
            whiskers(group, run, frame)
    for run in found:
        ET.SubElement(group, "path", {"class": "stroke", "d": path([frame.place(p.x, p.y) for p in run])})
    points = [p for run in found for p in run]
    for place in marked(len(points), index):
        dot = ET.SubElement(
            group, "path", {"class": "dot", "d": marker(style.marker, *frame.place(*points[place][:2]))}
        )
        if len(points) <= FEW:
            text(dot, "title", f"{line.name}: {value(points[place])} at {label(points[place].x)}")


def value(point: Point) -> str:
    """The value of a point, with its band."""
    band = "" if point.low is None or point.high is None else f" [{number(point.low)}, {number(point.high)}]"
    return number(point.y) + band


def path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in places)


def band(run: Sequence[Point], frame: Frame) -> str:
    lower = [frame.place(p.x, p.y if p.low is None else p.low) for p in run]
    upper = [frame.place(p.x, p.y if p.high is None else p.high) for p in run]
    return path([*lower, *reversed(upper)]) + "Z"


def whiskers(group: ET.Element, run: Sequence[Point], frame: Frame) -> None:
    """The bands of single points."""
    for point in run:
        if point.low is not None and point.high is not None:
            ends = [frame.place(point.x, point.low), frame.place(point.x, point.high)]
            ET.SubElement(group, "path", {"class": "whisker", "d": path(ends)})


SHAPES = {  # around the origin, of about equal area
    "o": "m-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0z",
    "s": "m-2.7,-2.7h5.4v5.4h-5.4z",
    "D": "m0,-3.7l3.7,3.7l-3.7,3.7l-3.7,-3.7z",
    "^": "m0,-3.6l3.6,6.4h-7.2z",
    "v": "m0,3.6l-3.6,-6.4h7.2z",
    "P": "m-1.2,-3.6h2.4v2.4h2.4v2.4h-2.4v2.4h-2.4v-2.4h-2.4v-2.4h2.4z",
    "X": "m0,-1.6l2,-2l1.6,1.6l-2,2l2,2l-1.6,1.6l-2,-2l-2,2l-1.6,-1.6l2,-2l-2,-2l1.6,-1.6z",
}


def marker(letter: str, x: float, y: float) -> str:
    return f"M{x:g},{y:g}{SHAPES[letter]}"


def swatch(style: Style) -> str:
    """A piece of a line with its marker, for a legend."""
    root = ET.Element("svg", {"viewBox": "0 0 28 12", "class": "swatch", "aria-hidden": "true"})
    group = ET.SubElement(root, "g", {"class": f"line c{style.colour}" + (" dashed" if style.dashed else "")})
    ET.SubElement(group, "path", {"class": "stroke", "d": "M1,6L27,6"})
    ET.SubElement(group, "path", {"class": "dot", "d": marker(style.marker, 14, 6)})
    return ET.tostring(root, encoding="unicode")
