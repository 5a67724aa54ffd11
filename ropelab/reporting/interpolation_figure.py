"""PI's figure 2: a score fitted inside the trained length, beyond it, and between two whole distances."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ropelab.reporting.charts.perplexity import COLOURS

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
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    panels: Any = figure.subplots(1, 3)
    panels[0].plot(targets, ".", markersize=1.5, color=COLOURS[1], label="drawn")
    panels[0].plot(inside, color=COLOURS[2], linewidth=0.9, label="fitted")
    panels[0].set_title(f"inside: max |a| = {np.abs(inside).max():.2f}", loc="left")
    panels[0].legend(frameon=False, fontsize=8)
    panels[1].plot(np.arange(length), inside, color=COLOURS[2], linewidth=0.9)
    panels[1].plot(np.arange(length, 2 * length), beyond, color=COLOURS[3], linewidth=0.9)
    panels[1].set_yscale("symlog", linthresh=1)
    panels[1].set_title(f"beyond: max |a| = {np.abs(beyond).max():.3g}", loc="left")
    first = length // 2
    part = slice(per * first, per * (first + ZOOM) + 1)
    panels[2].plot(np.arange(between.size)[part] / per, between[part], color=COLOURS[4], label="between")
    panels[2].plot(
        np.arange(first, first + ZOOM + 1), inside[first : first + ZOOM + 1], "o", color=COLOURS[2], label="at"
    )
    panels[2].set_title("between whole distances", loc="left")
    panels[2].legend(frameon=False, fontsize=8)
    for axes in panels:
        axes.set_xlabel("distance (tokens)")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, linewidth=0.3)
    panels[0].set_ylabel("score a(s)")
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    return figure
