"""Numbers of single heads, a panel for each arm and evaluation: layers down, heads across."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ropelab.reporting.evaluation_table import HEAD

Record = Mapping[str, Any]
Grids = dict[str, dict[str, np.ndarray]]  # evaluation → arm → f64[L, N]
COLOURS = "cividis"


def grids(records: Sequence[Record]) -> tuple[Grids, int]:
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
    return {name: {arm: squared(cells) for arm, cells in arms.items()} for name, arms in found.items()}, longest


def squared(cells: Mapping[tuple[int, int], float]) -> np.ndarray:
    layers, heads = (max(place[i] for place in cells) + 1 for i in (0, 1))
    grid = np.full((layers, heads), np.nan)
    for place, value in cells.items():
        grid[place] = value
    return grid


def head_map(records: Sequence[Record]) -> Figure | None:
    """A row for each evaluation on one scale, a column for each arm; None where no head was measured alone."""
    found, length = grids(records)
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
            picture = axes.imshow(own[arm], vmin=low, vmax=high, cmap=COLOURS, aspect="auto", interpolation="nearest")
            axes.set_title("\n".join(textwrap.wrap(arm, 30)), fontsize=8, loc="left")
            axes.set(xlabel="head", ylabel="layer")
            axes.tick_params(labelsize=7)
        if picture is not None:
            figure.colorbar(picture, ax=row, label=f"{evaluation} at {length}", extend="both", shrink=0.9)
    return figure
