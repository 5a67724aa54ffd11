"""A pattern and some encodings as one picture: counts, receptive field, scores against distance, wavelengths."""

import math
import textwrap
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
from ropelab.reporting.charts.perplexity import COLOURS

ARMS = COLOURS[2:]  # black and grey are the unchanged model's elsewhere
STYLES = ("-", "--", ":")
MOST_HEADS, MOST_IN_A_ROW = 6, 2  # squares that stay large enough to read
QUIET = "#666666"
NO_WEIGHT = 16  # a key whose score is so far below another's gets e^-16, a ten-millionth, of its weight

Curves = Mapping[str, np.ndarray]


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
) -> Figure:
    """Counts and receptive field above, scores and wavelengths below, the protocol underneath.

    Args:
        counts_NTT: how often query i of each head sees key j.
        reach_TT: layers until token j reaches query i, 0 for itself, -1 for never.
        layers: how many there are.
        expected, measured: the score at distances 0, 1, 2, ... of each encoding; `measured` may be empty.
        wavelengths: of the rotary pairs of each encoding, in tokens.
        length: a line among the wavelengths, with its name; 0 for none.
    """
    taller = 4 if len(group_heads_alike(counts_NTT)) > MOST_IN_A_ROW else 0
    figure = Figure(figsize=(12, 8 + 0.36 * taller), layout="constrained")
    parts: Any = figure.subfigures(3, 1, height_ratios=(11 + taller, 10, 1.3), hspace=0.02)
    above, below, foot = parts
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    sides: Any = above.subfigures(1, 2, width_ratios=(1, 1.15))
    draw_counts(sides[0], counts_NTT)
    draw_reach(sides[1], reach_TT, layers)
    colours = {name: n for n, name in enumerate(dict.fromkeys([*expected, *measured, *wavelengths]))}
    draw_lines(below, expected, measured, wavelengths, colours, length, length_name)
    foot.text(0.01, 0.5, "\n".join(textwrap.wrap(protocol, 215)), fontsize=6, va="center", color=QUIET)
    return figure


def group_heads_alike(counts_NTT: np.ndarray) -> list[tuple[int, ...]]:
    """The heads that see the same, together."""
    groups: dict[bytes, list[int]] = {}
    for head, counts_TT in enumerate(counts_NTT):
        groups.setdefault(counts_TT.tobytes(), []).append(head)
    return [tuple(group) for group in groups.values()]


def draw_counts(part: SubFigure, counts_NTT: np.ndarray) -> None:
    """One square for each kind of head."""
    kinds = group_heads_alike(counts_NTT)
    shown = kinds[:MOST_HEADS]
    rows = 1 if len(shown) <= MOST_IN_A_ROW else 2
    squares: Any = part.subplots(rows, -(-len(shown) // rows), squeeze=False, sharex=True, sharey=True)
    most = int(counts_NTT.max(initial=1))
    colours = ListedColormap(["#ffffff", *(colormaps["Blues"](x) for x in np.linspace(0.35, 1.0, most))])
    for axes, heads in zip(squares.flat, shown, strict=False):
        draw_square(axes, counts_NTT[heads[0]], colours, 0, most)
        axes.set_title(name_heads(heads, len(counts_NTT)), fontsize=8)
        axes.label_outer()
    for axes in squares.flat[len(shown) :]:
        axes.set_axis_off()
    more = f", {len(shown)} of {len(kinds)} kinds of head" if len(kinds) > len(shown) else ""
    part.suptitle(f"A  How often a query sees a key{more}", x=0.01, ha="left", fontsize=10)
    names = ["once", "twice", *(f"{n} times" for n in range(3, most + 1))][:most]
    patches = [Patch(color=colours(n), label=name) for n, name in enumerate(names, 1)]
    part.legend(handles=patches, loc="outside lower center", ncols=min(most, 6), frameon=False, fontsize=8)


def name_heads(heads: Sequence[int], num_heads: int) -> str:
    if len(heads) == num_heads:
        return f"all {num_heads} heads"
    word = "head" if len(heads) == 1 else "heads"
    return f"{word} {', '.join(map(str, heads[:5]))}{', …' if len(heads) > 5 else ''}"


def draw_square(axes: Axes, values_TT: np.ndarray, colours: ListedColormap, low: int, high: int) -> None:
    """Whole numbers, queries from top to bottom and keys from left to right."""
    norm = BoundaryNorm(np.arange(low, high + 2) - 0.5, colours.N)
    # cells smaller than a pixel are blended: picked one by one they make patterns that are not there
    axes.imshow(values_TT, cmap=colours, norm=norm, interpolation="antialiased", interpolation_stage="rgba")
    axes.set(xlabel="key (position)", ylabel="query (position)", anchor="N")
    axes.tick_params(labelsize=7)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MultipleLocator(2 ** max(round(math.log2(len(values_TT) / 4)), 0)))
        axis.label.set_fontsize(8)


def draw_reach(part: SubFigure, reach_TT: np.ndarray, layers: int) -> None:
    """After how many layers a token can reach a query, and how many tokens do."""
    shades = colormaps["viridis"](np.linspace(0.25, 0.95, layers))
    colours = ListedColormap(["#ffffff", "#222222", *shades])
    both: Any = part.subplots(1, 2)
    matrix, growth = both
    draw_square(matrix, reach_TT, colours, -1, layers)
    matrix.set_xlabel("token (position)", fontsize=8)
    for layer in range(layers, 0, -1):  # the fewest layers last and thinnest, so that equal lines both show
        reached_T = ((reach_TT >= 0) & (reach_TT <= layer)).sum(axis=1)
        width = 1.4 + 3.0 * (layer - 1) / layers
        growth.step(np.arange(len(reached_T)), reached_T, where="mid", color=shades[layer - 1], linewidth=width)
    growth.set_xlabel("query (position)", fontsize=8)
    growth.set_ylabel("tokens that can reach it", fontsize=8)
    growth.set_box_aspect(1)
    growth.set_anchor("N")
    style_axes(growth)
    part.suptitle("B  Receptive field over layers, all heads together", x=0.01, ha="left", fontsize=10)
    names = ["itself", *(f"{n} layer{'s' if n > 1 else ''}" for n in range(1, layers + 1))]
    patches = [Patch(color=colours(n), label=name) for n, name in enumerate(names, 1)]
    part.legend(handles=patches, loc="outside lower center", ncols=min(layers + 1, 6), frameon=False, fontsize=8)


def draw_lines(
    part: SubFigure,
    expected: Curves,
    measured: Curves,
    wavelengths: Curves,
    colours: Mapping[str, int],
    length: int,
    length_name: str,
) -> None:
    """Scores and wavelengths, one colour for an encoding in all of them."""
    panels: Any = part.subplots(1, 3 if measured else 2)
    draw_scores(panels[0], expected, colours, "C  Expected score, q = k = 1")
    if measured:
        draw_scores(panels[1], measured, colours, "D  Measured score, mean of layers and heads")
    draw_wavelengths(panels[-1], wavelengths, colours, length, length_name, "E" if measured else "D")
    handles = [panels[0].plot([], [], **line_style(n), label=name)[0] for name, n in colours.items()]
    part.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False, fontsize=8)


def draw_scores(axes: Axes, curves: Curves, colours: Mapping[str, int], title: str) -> None:
    for name, s in curves.items():
        axes.plot(np.arange(len(s)), s, **line_style(colours[name]), linewidth=1.1)
    axes.set_xlim(0, max([1, *(len(s) for s in curves.values())]))
    top = max([-np.inf, *(s.max() for s in curves.values())])
    if min([np.inf, *(s.min() for s in curves.values())]) < top - NO_WEIGHT:
        axes.set_ylim(top - NO_WEIGHT, top + 0.04 * NO_WEIGHT)
        axes.text(0.99, 0.02, f"cut off {NO_WEIGHT} below the top", transform=axes.transAxes, ha="right", fontsize=7)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("distance of query and key (tokens)", fontsize=8)
    axes.set_ylabel("scaled score q·k/√H", fontsize=8)
    style_axes(axes)


def draw_wavelengths(
    axes: Axes, wavelengths: Curves, colours: Mapping[str, int], length: int, length_name: str, letter: str
) -> None:
    """Filled where a pair turns once within the length, hollow where it never does."""
    axes.set_title(f"{letter}  Wavelengths of the rotary pairs", loc="left", fontsize=10)
    axes.set_xlabel("rotary pair", fontsize=8)
    axes.set_ylabel("tokens to a turn", fontsize=8)
    axes.set_yscale("log")
    for n, (name, tokens_R) in enumerate(wavelengths.items()):
        colour, size = line_style(colours[name])["color"], max(6.5 - 1.8 * n, 2.0)  # smaller ones on top of equal ones
        for turns, face in ((tokens_R <= length, colour), (tokens_R > length, "white")):
            axes.plot(np.flatnonzero(turns), tokens_R[turns], "o", markersize=size, mfc=face, mec=colour)
    if not wavelengths:
        axes.text(0.5, 0.5, "nothing rotates", transform=axes.transAxes, ha="center", color=QUIET)
    if length:
        axes.axhline(length, color="#999999", linewidth=0.8, linestyle=":")
        place = (0.01, length)
        axes.annotate(f"{length_name} {length}", place, xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
        says = "filled: at least one turn within it, hollow: none"
        axes.text(0.99, 0.02, says, transform=axes.transAxes, ha="right", fontsize=7)
    style_axes(axes)


def line_style(number: int) -> dict[str, Any]:
    """Colour and stroke of the n-th encoding."""
    return {"color": ARMS[number % len(ARMS)], "linestyle": STYLES[number // len(ARMS) % len(STYLES)]}


def style_axes(axes: Axes) -> None:
    axes.tick_params(labelsize=7)
    axes.grid(True, which="major", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)


# The numbers of a portrait as CSV, one file for each thing that is drawn or printed.

DATA_FILES = ("resolution.csv", "scores.csv", "counts.csv", "reach.csv", "wavelengths.csv")
CurvesByLength = Mapping[str, Mapping[int, np.ndarray]]  # by encoding and length of text


def write_overview_data(
    folder: Path,
    counts_NTT: np.ndarray,
    reach_TT: np.ndarray,
    scores: Mapping[str, CurvesByLength],
    wavelengths: Mapping[str, np.ndarray],
    resolutions: Sequence[Mapping[str, Any]],
) -> None:
    """Write those of `NUMBERS` that have anything in them.

    Args:
        counts_NTT, reach_TT: as in `portrait_figure`; only pairs that are seen, or reached, are written.
        scores: the curves by how they were got.
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
