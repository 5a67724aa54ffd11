"""Line charts: values with bands over x, one line per variant."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullFormatter

from ropelab.reporting.charts.style import (
    QUIET,
    FigureOptions,
    Styles,
    add_legend,
    figure_style,
    legend_height,
    new_figure,
    plain_text,
    styles_of,
)
from ropelab.reporting.page import Chart, Point, Series, uncoded

FEW = 40  # points per line up to which each has a marker
MARKERS = 9  # per line of more points
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def draw_chart(chart: Chart, options: FigureOptions | None = None, styles: Styles | None = None) -> Figure:
    """A chart with its legend below, and its title and note if the options ask for them.

    Args:
        styles: of the lines by name, so that several charts agree; the chart's own if None.
    """
    options = options or FigureOptions()
    styles = styles_of([chart]) if styles is None else styles
    labels = [legend_label(line, chart, options) for line in chart.series]
    with figure_style(options):
        height = max(0.52 * options.inches, 2.4) + legend_height(options, labels)
        figure, body = new_figure(height, options, chart.title, chart.note)
        axes = body.add_subplot()
        for index, line in enumerate(chart.series):
            _draw_line(axes, line, chart, styles[uncoded(line.name)].keywords(), index)
        scale_axes(axes, chart)
        within = [(x, what) for x, what in chart.marks if axes.get_xlim()[0] <= x <= axes.get_xlim()[1]]
        for row, (x, what) in enumerate(within):
            mark_x(axes, x, plain_text(what), options, row)
        add_legend(body, options, axes.get_lines()[: len(labels)], labels)
    return figure


def legend_label(line: Series, chart: Chart, options: FigureOptions) -> str:
    """The name of a line, and why some or all of it is not drawn."""
    label = options.label(line.name)
    if any(not math.isfinite(point.y) for point in line.points):
        return f"{label} (not finite where no line is drawn)"
    if line.points and chart.y_limits and not any(_is_within(point.y, chart) for point in line.points):
        return f"{label} (beyond this axis)"
    return label


def _is_within(y: float, chart: Chart) -> bool:
    return chart.y_limits is None or chart.y_limits[0] <= y <= chart.y_limits[1]


def is_drawable(point: Point, chart: Chart) -> bool:
    """Whether both values are finite, and positive on a logarithmic axis."""
    finite = math.isfinite(point.x) and math.isfinite(point.y)
    return finite and (point.x > 0 or not chart.log_x) and (point.y > 0 or not chart.log_y)


def split_runs(line: Series, chart: Chart) -> list[list[Point]]:
    """The points of a line, split where one cannot be drawn."""
    runs: list[list[Point]] = [[]]
    for point in line.points:
        if is_drawable(point, chart):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _draw_line(axes: Axes, line: Series, chart: Chart, style: dict[str, Any], index: int) -> None:
    """A line, the band around it, and its markers, at other points for each line if there are many."""
    runs = split_runs(line, chart)
    xs = [x for run in runs for x in (*(p.x for p in run), math.nan)] or [math.nan]
    ys = [y for run in runs for y in (*(p.y for p in run), math.nan)] or [math.nan]
    drawn = [n for n, y in enumerate(ys) if math.isfinite(y) and _is_within(y, chart)]
    axes.plot(xs, ys, markevery=[drawn[n] for n in mark_every(len(drawn), index)], **style)
    for run in runs:
        banded = [(p.x, p.low, p.high) for p in run if p.low is not None and p.high is not None]
        x, low, high = np.asarray(banded, np.float64).reshape(-1, 3).T
        if len(banded) == 1:
            axes.vlines(x, low, high, color=style["color"], linewidth=1)
        elif banded:
            axes.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)


def mark_every(count: int, index: int) -> list[int]:
    """Points of the `index`-th line that have a marker: all of a few, else some, at other places for each line."""
    stride = max(count // MARKERS, 1) if count > FEW else 1
    return list(range((stride // 2 + index * stride // 8) % stride, count, stride))


def scale_axes(axes: Axes, chart: Chart) -> None:
    """Scales, ticks, names and margins, so that no marker is cut off at an edge."""
    points = [point for line in chart.series for point in line.points if is_drawable(point, chart)]
    axes.set_xlabel(axis_label(chart.x, log=chart.log_x))
    axes.set_ylabel(axis_label(chart.y, log=chart.log_y))
    axes.margins(x=0.025, y=0.06)
    for is_log, set_scale in ((chart.log_x, axes.set_xscale), (chart.log_y, axes.set_yscale)):
        if is_log:
            set_scale("log")
    if not points:
        axes.set(xlim=(1, 10), ylim=(1, 10))
    elif chart.y_limits:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, chart.y_limits[0]), min(high, chart.y_limits[1]))
    is_binary = bool(chart.marks) and all(_is_power_of_two(x) for x, _ in chart.marks)
    set_ticks(axes.xaxis, [p.x for p in points], log=chart.log_x, binary=is_binary)
    set_ticks(axes.yaxis, [p.y for p in points], log=chart.log_y)
    axes.grid(True, axis="y", which="major")
    axes.tick_params(which="both", length=3)


def axis_label(name: str, *, log: bool) -> str:
    """The name of an axis, which says so if it is logarithmic."""
    name = plain_text(name)
    if not log or not name:
        return name
    return f"{name[:-1]}, log scale)" if name.endswith(")") else f"{name} (log scale)"


def set_ticks(axis: Axis, values: Sequence[float], *, log: bool, binary: bool = False, most: int = 8) -> None:
    """Few round ticks with plain numbers.

    Args:
        binary: multiples of a power of two on a linear axis, as suits lengths.
    """
    low, high = sorted(axis.get_view_interval())
    axis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
    if not log:
        step = 2.0 ** math.ceil(math.log2(max(high - low, 1e-9) / most))
        axis.set_major_locator(MultipleLocator(step) if binary else MaxNLocator(most - 1, steps=[1, 2, 2.5, 5, 10]))
        return
    axis.set_minor_formatter(NullFormatter())
    doublings = _doublings(values, most)
    if doublings:
        axis.set_major_locator(FixedLocator(doublings))
        axis.set_minor_locator(FixedLocator([]))
    elif high / low < 4:
        axis.set_major_locator(MaxNLocator(most - 2, steps=[1, 2, 2.5, 5, 10]))
        axis.set_minor_locator(FixedLocator([]))
    else:
        subs = (1.0, 2.0, 5.0) if high / low < 200 else (1.0, 3.0) if high / low < 2e4 else (1.0,)
        axis.set_major_locator(LogLocator(subs=subs, numticks=12))
        axis.set_minor_locator(LogLocator(subs=[float(n) for n in range(1, 10)], numticks=12))


def _doublings(values: Sequence[float], most: int) -> list[float]:
    """The lowest value and its doublings, every second or third if there are many; none if a value is none of them."""
    lowest = min(values, default=0.0)
    powers = sorted({math.log2(v / lowest) for v in values}) if lowest > 0 else []
    if len(powers) < 2 or any(abs(p - round(p)) > 1e-9 for p in powers):
        return []
    last = round(powers[-1])
    stride = math.ceil((last + 1) / most)
    return [lowest * 2.0**p for p in range(last % stride, last + 1, stride)]


def _is_power_of_two(value: float) -> bool:
    return value >= 1 and math.frexp(value)[0] == 0.5


def format_tick(value: float) -> str:
    """A tick as text: plain up to ten millions, then as "2·10⁹"."""
    if value and not 1e-4 <= abs(value) < 1e7:
        mantissa, power = f"{value:.9e}".split("e")
        factor = "" if float(mantissa) == 1 else f"{float(mantissa):.4g}·"
        return f"{factor}10{str(int(power)).translate(SUPERSCRIPTS)}"
    return f"{value:.10g}".replace("-", "−")


def mark_x(axes: Axes, x: float, what: str, options: FigureOptions, row: int = 0) -> None:
    """A dotted vertical line, its meaning next to it, on the side that has more room."""
    low, high = axes.transData.inverted().transform(axes.transAxes.transform([(0, 0), (1, 0)]))[:, 0]
    share = axes.transAxes.inverted().transform(axes.transData.transform((x, axes.get_ylim()[1])))[0]
    is_before = share > 0.5 and low < high
    room = 0.85 * options.inches * max(share, 1 - share)
    text = options.wrap(what, 0.85, room, max_lines=1)
    axes.axvline(x, color=QUIET, linewidth=0.8, linestyle=":")
    axes.annotate(
        text,
        (x, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if is_before else 4, -2 - 1.3 * options.font_size * row),
        textcoords="offset points",
        va="top",
        ha="right" if is_before else "left",
        fontsize=0.85 * options.font_size,
        color=QUIET,
        bbox={"facecolor": "none", "edgecolor": "none", "pad": 0},
    )
