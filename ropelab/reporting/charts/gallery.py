"""Pictures of the docs: one per family of encodings, and one of all patterns."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ropelab.reporting.charts.overview import NO_WEIGHT, draw_square, group_heads_alike, name_heads
from ropelab.reporting.charts.style import COLOURS, QUIET, FigureOptions, figure_style

MAX_ENCODINGS_PER_ROW, MAX_PATTERNS_PER_ROW = 4, 5
WIDTH, SCORES, BELOW = 3.0, 2.1, 1.75  # inches of an encoding's panels
SIDE = 2.4  # inches of a pattern's square
COLOUR, FAINT, BEHIND = COLOURS[1], "#9cc7e0", "#b8b8b8"
SMOOTHING = 48  # windows of the moving average per curve
OPTIONS = FigureOptions(font_size=8.0)


class EncodingCurves(NamedTuple):
    """One encoding.

    Attributes:
        title: of the panel.
        scores_Mn: at distances 0, 1, 2, ..., one row per head or layer that differs.
        wavelengths_R: of the rotary pairs, in tokens, inf for one that never turns; None if nothing rotates.
        factors_T: on the query at each position, for an encoding that scales queries.
    """

    title: str
    scores_Mn: np.ndarray
    wavelengths_R: np.ndarray | None = None
    factors_T: np.ndarray | None = None


def draw_encodings(drawn: Sequence[EncodingCurves], rope: EncodingCurves, *, trained_length: int) -> Figure:
    """A panel per encoding, RoPE in grey behind it if any of the family rotates.

    A second panel below shows the factors on queries if there are any, else the wavelengths unless all are RoPE's.

    Args:
        trained_length: a dotted line in every panel.
    """
    with figure_style(OPTIONS):
        return _draw_encodings(drawn, rope, trained_length)


def _draw_encodings(drawn: Sequence[EncodingCurves], rope: EncodingCurves, trained_length: int) -> Figure:
    columns, rotates = min(MAX_ENCODINGS_PER_ROW, len(drawn)), any(one.wavelengths_R is not None for one in drawn)
    below = _has_second_row(drawn, rope)
    heights = ([SCORES, BELOW] if below else [SCORES]) * -(-len(drawn) // columns)
    figure = Figure(figsize=(WIDTH * columns, sum(heights)), layout="constrained")
    panels: Any = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    for axes in panels.flat:
        axes.set_axis_off()
    for n, one in enumerate(drawn):
        row, column = (2 if below else 1) * (n // columns), n % columns
        _draw_encoding_scores(panels[row, column], one, rope if rotates else None, trained_length)
        if below and one.factors_T is not None:
            _draw_factors(panels[row + 1, column], one.factors_T, trained_length)
        elif below and one.wavelengths_R is not None and rope.wavelengths_R is not None:
            _draw_encoding_wavelengths(panels[row + 1, column], one.wavelengths_R, rope.wavelengths_R, trained_length)
    return figure


def _has_second_row(drawn: Sequence[EncodingCurves], rope: EncodingCurves) -> bool:
    """Whether there are factors on queries, or wavelengths to compare with RoPE's."""
    turning = [one for one in drawn if one.wavelengths_R is not None]
    others = any(one.title == rope.title or not _is_same(one.wavelengths_R, rope.wavelengths_R) for one in turning)
    return others or any(one.factors_T is not None for one in drawn)


def _is_same(own_R: np.ndarray | None, rope_R: np.ndarray | None) -> bool:
    return own_R is not None and rope_R is not None and own_R.shape == rope_R.shape and bool(np.allclose(own_R, rope_R))


def _draw_encoding_scores(axes: Axes, one: EncodingCurves, rope: EncodingCurves | None, trained_length: int) -> None:
    """Every row of the scores, cut off below what gets any weight; a single row with its moving average."""
    _start_panel(axes, "distance (tokens)", "score")
    behind = [rope.scores_Mn[0]] if rope is not None and rope.title != one.title else []
    for s_n in behind:
        axes.plot(smooth(s_n), color=BEHIND, linewidth=1.2)
    rows = len(one.scores_Mn)
    for s_n, colour in zip(one.scores_Mn, _shades(rows), strict=True):
        axes.plot(s_n, color=FAINT if rows == 1 else colour, linewidth=0.5 if rows == 1 else 1.1)
    if rows == 1:
        axes.plot(smooth(one.scores_Mn[0]), color=COLOUR, linewidth=1.3)
    every = np.concatenate([one.scores_Mn.ravel(), *behind])
    if every.min() < every.max() - NO_WEIGHT:
        axes.set_ylim(every.max() - NO_WEIGHT, every.max() + 0.04 * NO_WEIGHT)
    axes.axvline(trained_length, color=QUIET, linewidth=0.8, linestyle=":")
    axes.set_xlim(0, one.scores_Mn.shape[1])
    axes.set_title(one.title)


def smooth(s_n: np.ndarray) -> np.ndarray:
    """The moving average of a curve, over fewer points at its ends."""
    half = len(s_n) // SMOOTHING // 2
    total = np.concatenate([[0.0], np.cumsum(s_n, dtype=np.float64)])
    n = np.arange(len(s_n))
    reach = np.minimum(half, np.minimum(n, len(s_n) - 1 - n))
    return (total[n + reach + 1] - total[n - reach]) / (2 * reach + 1)


def _shades(rows: int) -> list[Any]:
    """One blue, or light to dark for several rows."""
    return [COLOUR] if rows == 1 else [colormaps["Blues"](x) for x in np.linspace(0.4, 1.0, rows)]


def _draw_encoding_wavelengths(axes: Axes, own_R: np.ndarray, rope_R: np.ndarray, trained_length: int) -> None:
    """Next to RoPE's; a triangle at the upper edge is a pair that never turns."""
    _start_panel(axes, "rotary pair, fastest to slowest", "wavelength (tokens, log)")
    place_R, rest_R = np.linspace(0, 1, len(own_R)), ~np.isfinite(own_R)
    top = 20 * max(rope_R.max(), own_R[~rest_R].max())
    axes.plot(np.linspace(0, 1, len(rope_R)), rope_R, "o", color=BEHIND, markersize=2.5)
    axes.plot(place_R[~rest_R], own_R[~rest_R], "o", color=COLOUR, markersize=2.5)
    if rest_R.any():
        axes.plot(place_R[rest_R], np.full(rest_R.sum(), top / 2), "^", color=COLOUR, markersize=3)
    axes.axhline(trained_length, color=QUIET, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_ylim(2, top)
    axes.set_xticks([])


def _draw_factors(axes: Axes, factors_T: np.ndarray, trained_length: int) -> None:
    """The factor on each query."""
    _start_panel(axes, "position of the query", "factor on the query")
    axes.plot(factors_T, color=COLOUR, linewidth=1.2)
    axes.axvline(trained_length, color=QUIET, linewidth=0.8, linestyle=":")
    axes.set_xlim(0, len(factors_T))


def _start_panel(axes: Axes, across: str, up: str) -> None:
    axes.set_axis_on()
    axes.set(xlabel=across, ylabel=up)
    axes.grid(True)


def draw_patterns(counts: Mapping[str, np.ndarray]) -> Figure:
    """How often a query sees a key: one square per group of heads of each pattern.

    Args:
        counts: n_NTT of each pattern by its spec, the title of its squares.
    """
    with figure_style(OPTIONS):
        return _draw_patterns(counts)


def _draw_patterns(counts: Mapping[str, np.ndarray]) -> Figure:
    squares = [(spec, heads, n_NTT) for spec, n_NTT in counts.items() for heads in group_heads_alike(n_NTT)]
    most = max(int(n_NTT.max()) for n_NTT in counts.values())
    colours = ListedColormap(["#ffffff", *(colormaps["Blues"](x) for x in np.linspace(0.45, 1.0, most))])
    rows = len(squares) // MAX_PATTERNS_PER_ROW + 1  # the last place is for the legend
    figure = Figure(figsize=(SIDE * MAX_PATTERNS_PER_ROW, (SIDE + 0.5) * rows), layout="constrained")
    panels: Any = figure.subplots(rows, MAX_PATTERNS_PER_ROW, squeeze=False)
    for axes, (spec, heads, n_NTT) in zip(panels.flat, squares, strict=False):
        draw_square(axes, n_NTT[heads[0]], colours, 0, most)
        axes.set_title(pattern_title(spec, heads, len(n_NTT)))
        axes.set(xlabel="key", ylabel="query")
    for axes in panels.flat[len(squares) :]:
        axes.set_axis_off()
    names = ["seen once", "twice", *(f"{n} times" for n in range(3, most + 1))][:most]
    patches = [Patch(color=colours(n), label=name) for n, name in enumerate(names, 1)]
    panels.flat[-1].legend(handles=patches, loc="center")
    return figure


def pattern_title(spec: str, heads: Sequence[int], num_heads: int) -> str:
    """The name of a pattern, its fields on a second line, and which heads if they differ."""
    name, _, fields = spec.partition("(")
    which = "" if len(heads) == num_heads else f", {name_heads(heads, num_heads)}"
    return f"{name}{which}\n{fields.removesuffix(')')}"
