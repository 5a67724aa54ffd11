"""The charts and heat maps of a page as matplotlib figures, for PNG and PDF."""

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from ropelab.reporting.axis import Axis, labels
from ropelab.reporting.chart_lines import Style, axes, marked, runs, styles
from ropelab.reporting.charts.heat_maps import SHADES as SHADES
from ropelab.reporting.charts.perplexity import COLOURS
from ropelab.reporting.page import Chart, Heat, Series, uncoded

LINES = (*COLOURS[2:], *COLOURS[:2])
WIDTH = 8.0  # inches
GREY = "#666666"
BRIGHT = 0.45  # of 1, from which a shade is written on in black
WRITTEN = 16  # columns up to which the values are written into a heat map


def draw_part(part: Chart | Heat) -> Figure:
    """The part with its title above it and its note underneath."""
    return draw_chart(part) if isinstance(part, Chart) else draw_heat(part)


def draw_chart(chart: Chart) -> Figure:
    names = [wrapped(line.name, 56, most=3) for line in chart.series]
    deepest = max((name.count("\n") + 1 for name in names), default=0)
    drawing, plot = framed(chart.title, chart.note, 4.6 + 0.17 * deepest * ((len(names) + 1) // 2))
    x, y = axes(chart, 9, 7)
    for index, (line, style) in enumerate(zip(chart.series, styles(chart.series), strict=True)):
        draw(plot, line, style, chart, index, names[index])
    scale(plot, x, y)
    plot.set_xlabel(unmarked(chart.x))
    plot.set_ylabel(unmarked(chart.y))
    within = [(at, what) for at, what in chart.marks if x.holds(at)]
    for row, (at, what) in enumerate(within):
        mark(plot, at, unmarked(what), row, before=x.at(at) > 0.5)
    if chart.series:
        parent: Any = plot.figure
        handles = plot.get_legend_handles_labels()
        parent.legend(*handles, loc="outside lower left", ncols=2, frameon=False, fontsize=8)
    return drawing


def framed(title: str, note: str, height: float) -> tuple[Figure, Axes]:
    """A figure with room for its note, and the axes in it."""
    foot = 0.14 * len(textwrap.wrap(unmarked(note), 125)) + 0.1
    drawing = Figure(figsize=(WIDTH, height + foot), layout="constrained")
    parts: Any = drawing.subfigures(2, 1, height_ratios=(height, foot))
    parts[1].text(0.012, 0.98, wrapped(note, 125), fontsize=7, va="top", color=GREY)
    plot = parts[0].add_subplot()
    plot.set_title(wrapped(title, 80), loc="left", fontsize=11)
    return drawing, plot


def draw(plot: Axes, line: Series, style: Style, chart: Chart, index: int, name: str) -> None:
    colour = LINES[style.colour]
    found = runs(line, chart)
    for run in found:
        banded = [p for p in run if p.low is not None and p.high is not None]
        xs, lows, highs = ([getattr(p, name) for p in banded] for name in ("x", "low", "high"))
        if len(banded) == 1:
            plot.vlines(xs, lows, highs, color=colour, linewidth=1)
        elif banded:
            plot.fill_between(xs, lows, highs, color=colour, alpha=0.15, linewidth=0)
    gaps = [[*((p.x, p.y) for p in run), (np.nan, np.nan)] for run in found] or [[(np.nan, np.nan)]]
    xs, ys = np.asarray([place for gap in gaps for place in gap][:-1] or [(np.nan, np.nan)]).T
    looks: dict[str, Any] = {"marker": style.marker, "markersize": 4, "linewidth": 1.5}
    if style.dashed:
        looks |= {"linestyle": (0, (4, 2)), "markerfacecolor": "white"}
    seen = [i for i in range(len(xs)) if np.isfinite(ys[i])]
    looks["markevery"] = [seen[i] for i in marked(len(seen), index)]
    plot.plot(xs, ys, color=colour, label=name, **looks)


def scale(plot: Axes, x: Axis, y: Axis) -> None:
    """The limits and ticks of the page, on both axes."""
    if x.log:
        plot.set_xscale("log")
    if y.log:
        plot.set_yscale("log")
    plot.set(xlim=(x.low, x.high), ylim=(y.low, y.high))
    for side, drawn in ((x, plot.xaxis), (y, plot.yaxis)):
        drawn.set_major_locator(FixedLocator(list(side.ticks)))
        drawn.set_minor_locator(NullLocator())
        drawn.set_major_formatter(FixedFormatter(labels(side.ticks)))
    plot.grid(True, axis="y", which="major", linewidth=0.4, color="#dddddd")
    plot.set_axisbelow(True)
    plot.spines[["top", "right", "left"]].set_visible(False)
    plot.tick_params(labelsize=9, axis="both", length=3, color=GREY)


def mark(plot: Axes, at: float, what: str, row: int, *, before: bool) -> None:
    """A vertical line, what it is beside it, on the side that has room."""
    plot.axvline(at, color="#999999", linewidth=0.8, linestyle=":")
    side = "right" if before else "left"
    text = f"{what} " if before else f" {what}"
    place = (at, 0.99 - 0.045 * row)
    plot.annotate(text, place, xycoords=("data", "axes fraction"), va="top", ha=side, fontsize=8, color=GREY)


def draw_heat(heat: Heat) -> Figure:
    values = np.asarray([[np.nan if v is None else v for v in row] for row in heat.values], np.float64)
    values = values.reshape(len(heat.rows), len(heat.columns))
    drawing, plot = framed(heat.title, heat.note, 1.4 + 0.32 * max(len(heat.rows), 3))
    if not values.size:
        return drawing
    picture = plot.imshow(values, vmin=0, vmax=1, cmap=SHADES, aspect="auto", interpolation="nearest")
    plot.set_xticks(range(len(heat.columns)), [unmarked(name) for name in heat.columns], fontsize=8)
    plot.set_yticks(range(len(heat.rows)), [wrapped(name, 40, most=2) for name in heat.rows])
    plot.tick_params(labelsize=8, length=0)
    plot.spines[:].set_visible(False)
    plot.set(xlabel=unmarked(heat.column_label), ylabel=unmarked(heat.row_label))
    for (row, column), value in np.ndenumerate(values if len(heat.columns) <= WRITTEN else values[:0]):
        colour = "black" if not value < BRIGHT else "white"
        shown = f"{value:.2f}" if np.isfinite(value) else "–"
        plot.text(column, row, shown, ha="center", va="center", fontsize=8, color=colour)
    parent: Any = plot.figure
    bar = parent.colorbar(picture, ax=plot, shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=0)
    return drawing


def wrapped(text: str, width: int, most: int | None = None) -> str:
    """Text in lines of so many letters; what is beyond the last one is left out."""
    return "\n".join(textwrap.wrap(unmarked(text), width, max_lines=most, placeholder=" …"))


def unmarked(text: str) -> str:
    """Text as letters, with dollars that matplotlib does not take for mathematics."""
    return uncoded(text).replace("$", r"\$")
