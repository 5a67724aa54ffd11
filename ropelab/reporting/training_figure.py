"""Perplexity as trainings left it: against the length of the text, or against the steps of an extension."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from ropelab.reporting.perplexity_figure import COLOURS, logarithmic, mark


class Line(NamedTuple):
    """Perplexity by x; `spread` is the lowest and the highest of the seeds, where there are several."""

    values: Mapping[int, float]
    dashed: bool = False
    spread: Mapping[int, tuple[float, float]] | None = None


def training_figure(
    panels: Mapping[str, Mapping[str, Line]], *, x: str, protocol: str, trained_length: int | None = None
) -> Figure:
    """A panel by title, in it a line by name; a dashed line has the colour of the line before it.

    Args:
        trained_length: x is a length, drawn by doublings, and the trained one is marked.
    """
    width = max(7.0, 4.6 * len(panels))
    figure = Figure(figsize=(width, 5.2), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(12, 1))
    plot, foot = parts
    grid: Sequence[Axes] = plot.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, lines) in zip(grid, panels.items(), strict=True):
        draw(axes, lines)
        axes.set_title(title, loc="left")
        axes.set(xlabel=x, ylabel="perplexity per byte")
        if trained_length is not None:
            by_doublings(axes, sorted({n for line in lines.values() for n in line.values}))
            mark(axes, trained_length)
    names, columns = grid[0].get_legend_handles_labels(), 2 if len(panels) == 1 else 4
    plot.legend(*names, loc="outside lower left", ncols=columns, frameon=False, fontsize=8)
    foot.text(0.01, 0.5, "\n".join(textwrap.wrap(protocol, int(17 * width))), fontsize=7, va="center", color="#666666")
    return figure


def draw(axes: Axes, lines: Mapping[str, Line]) -> None:
    colours = itertools.cycle((*COLOURS[2:], *COLOURS[:2]))
    colour = next(colours)
    for number, (name, line) in enumerate(lines.items()):
        colour = colour if line.dashed or not number else next(colours)
        xs = sorted(line.values)
        style = "--" if line.dashed else "-"
        axes.plot(xs, [line.values[n] for n in xs], style, marker="o", markersize=3, color=colour, label=name)
        if line.spread:
            low, high = zip(*(line.spread[n] for n in xs), strict=True)
            axes.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
    logarithmic(axes)
    lowest, highest = axes.get_ylim()
    if highest < 10 * lowest:
        axes.yaxis.set_major_locator(LogLocator(subs=range(1, 10)))


def by_doublings(axes: Axes, lengths: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [str(n) for n in lengths])
