"""Scores by depth and length, a panel for each arm and family of questions: where in a text a model finds things."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Record = Mapping[str, Any]
COLOURS = "cividis"  # reads the same to those who see few colours, and in grey
NUMBERS = 150  # cells up to which each has its score written into it


def panels(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """Records of scores at depths, by evaluation and arm."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record["depth"] is not None and "." not in record["eval"]:
            found.setdefault((record["eval"], record["arm"]), []).append(record)
    return found


def heat_map(records: Sequence[Record]) -> Figure | None:
    """One row of panels for each evaluation, one column for each arm; None without scores at depths."""
    found = panels(records)
    if not found:
        return None
    evaluations, arms = (list(dict.fromkeys(key[i] for key in found)) for i in (0, 1))
    figure = Figure(figsize=(1.2 + 3.1 * len(arms), 0.8 + 2.5 * len(evaluations)), layout="constrained")
    grid: Any = figure.subplots(len(evaluations), len(arms), squeeze=False)
    picture = None
    for row, evaluation in enumerate(evaluations):
        for column, arm in enumerate(arms):
            axes = grid[row][column]
            picture = draw(axes, found.get((evaluation, arm), []))
            axes.set_title("\n".join(textwrap.wrap(f"{evaluation}: {arm}", 34)), fontsize=8, loc="left")
            axes.set_ylabel("depth" if column == 0 else "")
            axes.set_xlabel("length (tokens)" if row == len(evaluations) - 1 else "")
    if picture is not None:
        figure.colorbar(picture, ax=grid, label="score", shrink=0.8)
    return figure


def draw(axes: Axes, records: Sequence[Record]) -> Any:
    """One panel: lengths across, depths down, the beginning of the text on top."""
    lengths = sorted({record["length"] for record in records})
    depths = sorted({record["depth"] for record in records})
    scores = np.full((max(len(depths), 1), max(len(lengths), 1)), np.nan)
    for record in records:
        if record["value"] is not None:
            scores[depths.index(record["depth"]), lengths.index(record["length"])] = record["value"]
    picture = axes.imshow(scores, vmin=0, vmax=1, cmap=COLOURS, aspect="auto", interpolation="nearest")
    axes.set_xticks(range(len(lengths)), [str(n) for n in lengths], fontsize=7)
    step = max(1, len(depths) // 8)
    axes.set_yticks(range(0, len(depths), step), [f"{d:.2f}" for d in depths[::step]], fontsize=7)
    if scores.size <= NUMBERS:
        for (y, x), score in np.ndenumerate(scores):
            if np.isfinite(score):
                axes.text(
                    x,
                    y,
                    f"{score:.1f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="black" if score > 0.6 else "white",
                )
    return picture
