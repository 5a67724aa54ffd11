"""All patterns in one picture: a square for each kind of head, how often a query sees a key."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ropelab.reporting.portrait_figure import alike, named_heads, square

COLUMNS, SIDE = 5, 2.4  # squares in a row, and inches of one


def pattern_figure(counts: Mapping[str, np.ndarray]) -> Figure:
    """A square for each kind of head of each pattern.

    Args:
        counts: n_NTT of each pattern, by the spec that stands above its squares.
    """
    squares = [(spec, heads, n_NTT) for spec, n_NTT in counts.items() for heads in alike(n_NTT)]
    most = max(int(n_NTT.max()) for n_NTT in counts.values())
    colours = ListedColormap(["#ffffff", *(colormaps["Blues"](x) for x in np.linspace(0.45, 1.0, most))])
    rows = len(squares) // COLUMNS + 1  # the last place is the legend's
    figure = Figure(figsize=(SIDE * COLUMNS, (SIDE + 0.5) * rows), layout="constrained")
    panels: Any = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes, (spec, heads, n_NTT) in zip(panels.flat, squares, strict=False):
        square(axes, n_NTT[heads[0]], colours, 0, most)
        axes.set_title(title(spec, heads, len(n_NTT)), fontsize=8, loc="left")
        axes.set(xlabel="key", ylabel="query")
    for axes in panels.flat[len(squares) :]:
        axes.set_axis_off()
    names = ["seen once", "twice", *(f"{n} times" for n in range(3, most + 1))][:most]
    patches = [Patch(color=colours(n), label=name) for n, name in enumerate(names, 1)]
    panels.flat[-1].legend(handles=patches, loc="center", frameon=False, fontsize=9)
    return figure


def title(spec: str, heads: Sequence[int], num_heads: int) -> str:
    """The name of a pattern, its fields below, and which heads where they differ."""
    name, _, fields = spec.partition("(")
    which = "" if len(heads) == num_heads else f", {named_heads(heads, num_heads)}"
    return f"{name}{which}\n{fields.removesuffix(')')}"
