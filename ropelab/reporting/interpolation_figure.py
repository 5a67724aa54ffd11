"""PI's figure 2: a score fitted inside the trained length, beyond it, and between two whole distances."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ropelab.reporting.charts.style import COLOURS, GREY, FigureOptions, figure_style, new_figure

ZOOM = 12  # whole distances of the last panel


def interpolation_figure(
    targets: np.ndarray, inside: np.ndarray, beyond: np.ndarray, between: np.ndarray, *, title: str
) -> Figure:
    """Three panels.

    Args:
        targets: f64[L], what was fitted.
        inside, beyond: f64[L], the score at distances 0 .. L - 1 and L .. 2 L - 1.
        between: the score at equal steps from distance 0 to L - 1.
    """
    length, per = inside.size, (between.size - 1) // (inside.size - 1)
    options = FigureOptions(width=12.0)
    first = length // 2
    near, part = np.arange(first, first + ZOOM + 1), slice(per * first, per * (first + ZOOM) + 1)
    with figure_style(options):
        figure, body = new_figure(3.5, options, title)
        panels: Any = body.subplots(1, 3)
        panels[0].plot(targets, ".", markersize=1.5, color=GREY, label="targets")
        panels[0].plot(inside, color=COLOURS[1], linewidth=0.9, label="fit")
        panels[0].set_title(f"within the trained length: max |a| = {np.abs(inside).max():.2f}")
        panels[0].legend()
        panels[1].plot(np.arange(length), inside, color=COLOURS[1], linewidth=0.9)
        panels[1].plot(np.arange(length, 2 * length), beyond, color=COLOURS[2], linewidth=0.9)
        panels[1].set_yscale("symlog", linthresh=1)
        panels[1].set_title(f"beyond it: max |a| = {np.abs(beyond).max():.3g}")
        panels[2].plot(np.arange(between.size)[part] / per, between[part], color=COLOURS[3], label="interpolated")
        panels[2].plot(near, inside[near], "o", color=COLOURS[1], label="at whole distances")
        panels[2].set_title("between whole distances")
        panels[2].legend()
        for axes in panels:
            axes.set_xlabel("distance (tokens)")
            axes.grid(True)
        panels[0].set_ylabel("score a(s)")
        panels[1].set_ylabel("score a(s) (symmetric log scale)")
    return figure
