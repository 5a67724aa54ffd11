"""Overview of a pattern and some encodings: counts, receptive field, scores against distance, wavelengths."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from ropelab.reporting import files
from ropelab.reporting.charts.lines import mark_every
from ropelab.reporting.charts.style import (
    QUIET,
    FigureOptions,
    Styles,
    add_legend,
    assign_styles,
    figure_style,
    new_figure,
)

MAX_HEADS, MAX_SQUARES_PER_ROW = 6, 2  # squares that stay large enough to read
WIDTH = 12.0  # inches
NO_WEIGHT = 16  # a key whose score is so far below the highest gets e^-16, a ten-millionth, of its weight
DATA_FILES = ("resolution.csv", "scores.csv", "counts.csv", "reach.csv", "wavelengths.csv")

Curves = Mapping[str, np.ndarray]
CurvesByLength = Mapping[str, Mapping[int, np.ndarray]]  # by encoding and length of text


def draw_overview(
    counts_NTT: np.ndarray,
    reach_TT: np.ndarray,
    layers: int,
    expected: Curves,
    measured: Curves,
    wavelengths: Curves,
    *,
    title: str = "",
    length: int = 0,
    length_name: str = "trained length",
    protocol: str = "",
    options: FigureOptions | None = None,
) -> Figure:
    """Counts and receptive field above, scores and wavelengths below, the protocol as footnote.

    Args:
        counts_NTT: how often query i of each head sees key j.
        reach_TT: layers until token j reaches query i, 0 for itself, -1 for never.
        layers: their number.
        expected, measured: the score at distances 0, 1, 2, ... of each encoding; `measured` may be empty.
        wavelengths: of the rotary pairs of each encoding, in tokens.
        length: a line among the wavelengths, with its name; 0 for none.
    """
    options = (options or FigureOptions()).with_width(WIDTH)
    styles = assign_styles([*expected, *measured, *wavelengths])
    has_two_rows = len(group_heads_alike(counts_NTT)) > MAX_SQUARES_PER_ROW
    above, below = (share * options.inches for share in (0.39 if has_two_rows else 0.31, 0.3))
    with figure_style(options):
        figure, body = new_figure(above + below, options, title, protocol)
        parts: Any = body.subfigures(2, 1, height_ratios=(above, below), hspace=0.02)
        sides: Any = parts[0].subfigures(1, 2, width_ratios=(1, 1.15))
        _draw_counts(sides[0], counts_NTT)
        _draw_reach(sides[1], reach_TT, layers)
        panels: Any = parts[1].subplots(1, 3 if measured else 2)
        _draw_scores(panels[0], expected, styles, "C  Expected score, q = k = 1")
        if measured:
            _draw_scores(panels[1], measured, styles, "D  Measured score, mean of layers and heads")
        letter = "E" if measured else "D"
        _draw_wavelengths(panels[-1], wavelengths, styles, length, length_name, letter)
        handles = [panels[0].plot([], [], **style.keywords())[0] for style in styles.values()]
        add_legend(parts[1], options, handles, [options.label(name) for name in styles])
    return figure


def group_heads_alike(counts_NTT: np.ndarray) -> list[tuple[int, ...]]:
    """Groups of heads that see the same."""
    groups: dict[bytes, list[int]] = {}
    for head, counts_TT in enumerate(counts_NTT):
        groups.setdefault(counts_TT.tobytes(), []).append(head)
    return [tuple(group) for group in groups.values()]


def _draw_counts(part: SubFigure, counts_NTT: np.ndarray) -> None:
    """One square per group of heads."""
    groups = group_heads_alike(counts_NTT)
    shown = groups[:MAX_HEADS]
    rows = 1 if len(shown) <= MAX_SQUARES_PER_ROW else 2
    squares: Any = part.subplots(rows, -(-len(shown) // rows), squeeze=False, sharex=True, sharey=True)
    most = int(counts_NTT.max(initial=1))
    colours = ListedColormap(["#ffffff", *(colormaps["Blues"](x) for x in np.linspace(0.35, 1.0, most))])
    for axes, heads in zip(squares.flat, shown, strict=False):
        draw_square(axes, counts_NTT[heads[0]], colours, 0, most)
        axes.set_title(name_heads(heads, len(counts_NTT)), fontsize="small", loc="center")
        axes.label_outer()
    for axes in squares.flat[len(shown) :]:
        axes.set_axis_off()
    more = f", {len(shown)} of {len(groups)} kinds of head" if len(groups) > len(shown) else ""
    part.suptitle(f"A  How often a query sees a key{more}", x=0.01, ha="left", fontsize="large")
    names = ["once", "twice", *(f"{n} times" for n in range(3, most + 1))][:most]
    patches = [Patch(color=colours(n), label=name) for n, name in enumerate(names, 1)]
    part.legend(handles=patches, loc="outside lower center", ncols=min(most, 6))


def name_heads(heads: Sequence[int], num_heads: int) -> str:
    """Heads by number, at most five of them."""
    if len(heads) == num_heads:
        return f"all {num_heads} heads"
    word = "head" if len(heads) == 1 else "heads"
    return f"{word} {', '.join(map(str, heads[:5]))}{', …' if len(heads) > 5 else ''}"


def draw_square(axes: Axes, values_TT: np.ndarray, colours: ListedColormap, low: int, high: int) -> None:
    """Whole numbers as shades, queries from top to bottom and keys from left to right."""
    norm = BoundaryNorm(np.arange(low, high + 2) - 0.5, colours.N)
    # cells smaller than a pixel are blended: sampled one by one they make patterns that are not there
    axes.imshow(values_TT, cmap=colours, norm=norm, interpolation="antialiased", interpolation_stage="rgba")
    axes.set(xlabel="key (position)", ylabel="query (position)", anchor="N")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MultipleLocator(2 ** max(round(math.log2(len(values_TT) / 4)), 0)))


def _draw_reach(part: SubFigure, reach_TT: np.ndarray, layers: int) -> None:
    """After how many layers a token can reach a query, and how many tokens do."""
    shades = colormaps["viridis"](np.linspace(0.25, 0.95, layers))
    colours = ListedColormap(["#ffffff", "#222222", *shades])
    both: Any = part.subplots(1, 2)
    matrix, growth = both
    draw_square(matrix, reach_TT, colours, -1, layers)
    matrix.set_xlabel("token (position)")
    for layer in range(layers, 0, -1):  # the fewest layers last and thinnest, so that equal lines both show
        reached_T = ((reach_TT >= 0) & (reach_TT <= layer)).sum(axis=1)
        width = 1.4 + 3.0 * (layer - 1) / layers
        growth.step(np.arange(len(reached_T)), reached_T, where="mid", color=shades[layer - 1], linewidth=width)
    growth.set(xlabel="query (position)", ylabel="tokens that can reach it", anchor="N")
    growth.set_box_aspect(1)
    growth.grid(True)
    part.suptitle("B  Receptive field over layers, all heads together", x=0.01, ha="left", fontsize="large")
    names = ["itself", *(f"{n} layer{'s' if n > 1 else ''}" for n in range(1, layers + 1))]
    patches = [Patch(color=colours(n), label=name) for n, name in enumerate(names, 1)]
    part.legend(handles=patches, loc="outside lower center", ncols=min(layers + 1, 6))


def _draw_scores(axes: Axes, curves: Curves, styles: Styles, title: str) -> None:
    for index, (name, s) in enumerate(curves.items()):
        style = styles[name].keywords(linewidth=1.1, markersize=3.5, markevery=mark_every(len(s), index))
        axes.plot(np.arange(len(s)), s, label=name, **style)
    axes.set_xlim(0, max([1, *(len(s) for s in curves.values())]))
    top = max([-np.inf, *(s.max() for s in curves.values())])
    if min([np.inf, *(s.min() for s in curves.values())]) < top - NO_WEIGHT:
        axes.set_ylim(top - NO_WEIGHT, top + 0.04 * NO_WEIGHT)
        text = f"cut off {NO_WEIGHT} below the highest"
        axes.text(0.99, 0.02, text, transform=axes.transAxes, ha="right", fontsize="small")
    axes.set_title(title)
    axes.set(xlabel="distance of query and key (tokens)", ylabel="scaled score q·k/√H")
    axes.grid(True)


def _draw_wavelengths(
    axes: Axes, wavelengths: Curves, styles: Styles, length: int, length_name: str, letter: str
) -> None:
    """Filled where a pair turns at least once within the length, hollow where it does not."""
    axes.set_title(f"{letter}  Wavelengths of the rotary pairs")
    axes.set(xlabel="rotary pair", ylabel="wavelength (tokens, log scale)", yscale="log")
    for n, (name, tokens_R) in enumerate(wavelengths.items()):
        style, size = styles[name], max(6.5 - 1.8 * n, 2.0)  # smaller ones on top of equal ones
        for turns, face in ((tokens_R <= length, style.colour), (tokens_R > length, "white")):
            x = np.flatnonzero(turns)
            axes.plot(x, tokens_R[turns], style.marker, markersize=size, mfc=face, mec=style.colour)
    if not wavelengths:
        axes.text(0.5, 0.5, "nothing rotates", transform=axes.transAxes, ha="center", color=QUIET)
    if length:
        axes.axhline(length, color=QUIET, linewidth=0.8, linestyle=":")
        place = (0.01, length)
        axes.annotate(f"{length_name} {length}", place, xycoords=("axes fraction", "data"), va="bottom")
        text = "filled: at least one turn within it, hollow: none"
        axes.text(0.99, 0.02, text, transform=axes.transAxes, ha="right", fontsize="small")
    axes.grid(True)


def write_overview_data(
    folder: Path,
    counts_NTT: np.ndarray,
    reach_TT: np.ndarray,
    scores: Mapping[str, CurvesByLength],
    wavelengths: Curves,
    resolutions: Sequence[Mapping[str, Any]],
) -> None:
    """Write those of `DATA_FILES` that have any rows.

    Args:
        counts_NTT, reach_TT: as in `draw_overview`; only pairs that are seen, or reached, are written.
        scores: the curves by how they were obtained.
        wavelengths: in tokens, by encoding.
        resolutions: records.
    """
    tables: dict[str, Sequence[Mapping[str, Any]]] = {
        "resolution.csv": resolutions,
        "scores.csv": [
            {"encoding": name, "scores": way, "length": T, "distance": n, "score": s}
            for way, curves in scores.items()
            for name, by_length in curves.items()
            for T, mean in by_length.items()
            for n, s in enumerate(mean.tolist())
        ],
        "counts.csv": [
            {"head": h, "query": i, "key": j, "count": int(counts_NTT[h, i, j])}
            for h, i, j in np.argwhere(counts_NTT > 0).tolist()
        ],
        "reach.csv": [
            {"query": i, "token": j, "layers": int(reach_TT[i, j])} for i, j in np.argwhere(reach_TT >= 0).tolist()
        ],
        "wavelengths.csv": [
            {"encoding": name, "pair": i, "tokens": tokens}
            for name, turns in wavelengths.items()
            for i, tokens in enumerate(turns.tolist())
        ],
    }
    for name, rows in tables.items():
        if rows:
            files.write_csv(folder / name, rows)
