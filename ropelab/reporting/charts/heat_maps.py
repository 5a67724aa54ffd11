"""Scores by depth and length, a panel for each arm and family of questions: where in a text a model finds things."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ropelab.reporting.evaluation_table import HEAD

Record = Mapping[str, Any]
SHADES = "cividis"  # reads the same to those who see few colours, and in grey
NUMBERS = 150  # cells up to which each has its score written into it


def group_scores(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """Records of scores at depths, by evaluation and arm."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record["depth"] is not None and "." not in record["eval"]:
            found.setdefault((record["eval"], record["arm"]), []).append(record)
    return found


def draw_scores(records: Sequence[Record]) -> Figure | None:
    """One row of panels for each evaluation, one column for each arm; None without scores at depths."""
    found = group_scores(records)
    if not found:
        return None
    evaluations, arms = (list(dict.fromkeys(key[i] for key in found)) for i in (0, 1))
    figure = Figure(figsize=(1.2 + 3.1 * len(arms), 0.8 + 2.5 * len(evaluations)), layout="constrained")
    grid: Any = figure.subplots(len(evaluations), len(arms), squeeze=False)
    picture = None
    for row, evaluation in enumerate(evaluations):
        for column, arm in enumerate(arms):
            axes = grid[row][column]
            picture = _draw_score_panel(axes, found.get((evaluation, arm), []))
            axes.set_title("\n".join(textwrap.wrap(f"{evaluation}: {arm}", 34)), fontsize=8, loc="left")
            axes.set_ylabel("depth" if column == 0 else "")
            axes.set_xlabel("length (tokens)" if row == len(evaluations) - 1 else "")
    if picture is not None:
        figure.colorbar(picture, ax=grid, label="score", shrink=0.8)
    return figure


def _draw_score_panel(axes: Axes, records: Sequence[Record]) -> Any:
    """One panel: lengths across, depths down, the beginning of the text on top."""
    lengths = sorted({record["length"] for record in records})
    depths = sorted({record["depth"] for record in records})
    scores = np.full((max(len(depths), 1), max(len(lengths), 1)), np.nan)
    for record in records:
        if record["value"] is not None:
            scores[depths.index(record["depth"]), lengths.index(record["length"])] = record["value"]
    picture = axes.imshow(scores, vmin=0, vmax=1, cmap=SHADES, aspect="auto", interpolation="nearest")
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


# Numbers of single heads, a panel for each arm and evaluation: layers down, heads across.

HeadRecord = Mapping[str, Any]
Grids = dict[str, dict[str, np.ndarray]]  # evaluation → arm → f64[L, N]
HEAD_SHADES = "cividis"


def group_heads(records: Sequence[HeadRecord]) -> tuple[Grids, int]:
    """The numbers of the longest length, and that length."""
    own = [record for record in records if HEAD in record["eval"]]
    longest = max((record["length"] for record in own), default=0)
    found: dict[str, dict[str, dict[tuple[int, int], float]]] = {}
    for record in own:
        if record["length"] == longest:
            evaluation, _, place = record["eval"].partition(HEAD)
            layer, _, head = place.partition(".head_")
            value = np.nan if record["value"] is None else record["value"]
            found.setdefault(evaluation, {}).setdefault(record["arm"], {})[int(layer), int(head)] = value
    return {name: {arm: _to_array(cells) for arm, cells in arms.items()} for name, arms in found.items()}, longest


def _to_array(cells: Mapping[tuple[int, int], float]) -> np.ndarray:
    layers, heads = (max(place[i] for place in cells) + 1 for i in (0, 1))
    grid = np.full((layers, heads), np.nan)
    for place, value in cells.items():
        grid[place] = value
    return grid


def draw_heads(records: Sequence[HeadRecord]) -> Figure | None:
    """A row for each evaluation on one scale, a column for each arm; None where no head was measured alone."""
    found, length = group_heads(records)
    if not found:
        return None
    arms = list(dict.fromkeys(arm for own in found.values() for arm in own))
    layers = max(grid.shape[0] for own in found.values() for grid in own.values())
    size = (1.4 + 2.6 * len(arms), 0.6 + (1.1 + 0.09 * layers) * len(found))
    figure = Figure(figsize=size, layout="constrained")
    axes_of: Any = figure.subplots(len(found), len(arms), squeeze=False)
    for row, (evaluation, own) in zip(axes_of, found.items(), strict=True):
        values = np.concatenate([grid.ravel() for grid in own.values()])
        # the middle 98 %, so that one head far from all does not leave the others in one colour
        low, high = np.nanquantile(values, (0.01, 0.99)) if np.isfinite(values).any() else (0.0, 1.0)
        picture = None
        for axes, arm in zip(row, arms, strict=True):
            if arm not in own:
                axes.set_visible(False)
                continue
            picture = axes.imshow(
                own[arm], vmin=low, vmax=high, cmap=HEAD_SHADES, aspect="auto", interpolation="nearest"
            )
            axes.set_title("\n".join(textwrap.wrap(arm, 30)), fontsize=8, loc="left")
            axes.set(xlabel="head", ylabel="layer")
            axes.tick_params(labelsize=7)
        if picture is not None:
            figure.colorbar(picture, ax=row, label=f"{evaluation} at {length}", extend="both", shrink=0.9)
    return figure
