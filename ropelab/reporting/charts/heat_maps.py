"""Heat maps: a value per cell, such as the share of questions answered by depth and length, or a number per head."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ropelab.evaluation.record import Record
from ropelab.reporting.charts.style import INK, SEQUENTIAL, FigureOptions, figure_style, new_figure, plain_text
from ropelab.reporting.page import Heat
from ropelab.reporting.tables import format_of

HeadGrids = dict[str, dict[str, np.ndarray]]  # evaluation → variant → f64[L, N]
LEVELS = 20  # of the colour scale from 0 to 1
MAX_NUMBERS = 150  # cells per panel up to which each has its value written into it
MAX_COLUMNS = 16  # of such a panel
MAX_VECTOR_CELLS = 600  # per panel; more are drawn as an image


def draw_heat(heat: Heat, options: FigureOptions | None = None) -> Figure:
    """A heat map of values in [0, 1], with its title and note if the options ask for them."""
    options = options or FigureOptions()
    values = np.asarray([[np.nan if v is None else v for v in row] for row in heat.values], np.float64)
    values = values.reshape(len(heat.rows), len(heat.columns))
    with figure_style(options):
        height = options.line_height() * (3.5 + 2.2 * max(len(heat.rows), 3))
        figure, body = new_figure(height, options, heat.title, heat.note)
        axes = body.add_subplot()
        if values.size:
            cells = _draw_cells(axes, values, options, 0.0, 1.0)
            stride = -(-len(heat.columns) // max(options.columns(0.9) // 8, 1))
            shown = range(0, len(heat.columns), stride)
            room = 0.7 * options.inches / len(shown)
            axes.set_xticks(shown, [options.wrap(heat.columns[n], 0.9, room, max_lines=3) for n in shown])
            rows = [options.wrap(name, 0.9, options.inches / 3, max_lines=2) for name in heat.rows]
            axes.set_yticks(range(len(rows)), rows)
            axes.set(xlabel=plain_text(heat.column_label), ylabel=plain_text(heat.row_label))
            _add_colour_bar(body, cells, axes)
        else:
            axes.set_axis_off()
    return figure


def draw_scores(records: Sequence[Record], options: FigureOptions | None = None) -> Figure | None:
    """Scores by depth and length, one row of panels per evaluation, one column per variant; None without depths."""
    groups = group_scores(records)
    if not groups:
        return None
    options = options or FigureOptions()
    evaluations, variants = (list(dict.fromkeys(key[i] for key in groups)) for i in (0, 1))
    with figure_style(options):
        figure, body = new_figure((0.3 * options.inches + 0.4) * len(evaluations), options)
        panels: Any = body.subplots(len(evaluations), len(variants), squeeze=False)
        cells = None
        for row, evaluation in enumerate(evaluations):
            for column, variant in enumerate(variants):
                axes = panels[row][column]
                cells = _draw_score_panel(axes, groups.get((evaluation, variant), []), options, len(variants))
                name = f"{evaluation}: {options.label(variant)}"
                axes.set_title(options.wrap(name, 0.9, options.inches / (len(variants) + 0.5)), fontsize="small")
                axes.set_ylabel("depth" if column == 0 else "")
                axes.set_xlabel("length (tokens)" if row == len(evaluations) - 1 else "")
        _add_colour_bar(body, cells, panels, label="score")
    return figure


def group_scores(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """Records of scores at depths, by evaluation and variant."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.depth is not None and record.metric == "score":
            groups.setdefault((record.evaluation, record.variant), []).append(record)
    return groups


def _draw_score_panel(axes: Axes, records: Sequence[Record], options: FigureOptions, panels: int) -> Any:
    """Lengths across, depths down, the beginning of the text on top."""
    lengths = sorted({record.length for record in records})
    depths = sorted({record.depth for record in records if record.depth is not None})
    scores = np.full((max(len(depths), 1), max(len(lengths), 1)), np.nan)
    for record in records:
        if record.value is not None and record.depth is not None:
            scores[depths.index(record.depth), lengths.index(record.length)] = record.value
    digits = 2 if panels * len(lengths) <= MAX_COLUMNS else 1
    cells = _draw_cells(axes, scores, options, 0.0, 1.0, digits)
    axes.set_xticks(range(len(lengths)), [str(n) for n in lengths])
    step = max(1, len(depths) // 8)
    axes.set_yticks(range(0, len(depths), step), [f"{d:.2f}" for d in depths[::step]])
    return cells


def draw_heads(records: Sequence[Record], options: FigureOptions | None = None) -> Figure | None:
    """Numbers of single heads, one row per evaluation on one scale, one column per variant; None without any."""
    grids, length = group_heads(records)
    if not grids:
        return None
    options = options or FigureOptions()
    variants = list(dict.fromkeys(variant for by_variant in grids.values() for variant in by_variant))
    layers = max(grid.shape[0] for by_variant in grids.values() for grid in by_variant.values())
    with figure_style(options):
        figure, body = new_figure((1.2 + 0.09 * layers) * len(grids), options)
        panels: Any = body.subplots(len(grids), len(variants), squeeze=False)
        for row, (evaluation, by_variant) in zip(panels, grids.items(), strict=True):
            values = np.concatenate([grid.ravel() for grid in by_variant.values()])
            # the middle 98 %, so that one extreme head does not leave all others in one colour
            low, high = np.nanquantile(values, (0.01, 0.99)) if np.isfinite(values).any() else (0.0, 1.0)
            cells = None
            for axes, variant in zip(row, variants, strict=True):
                if variant not in by_variant:
                    axes.set_visible(False)
                    continue
                cells = _draw_cells(axes, by_variant[variant], options, float(low), float(high), None)
                title = "\n".join(textwrap.wrap(options.label(variant), options.columns(0.9) // (len(variants) + 1)))
                axes.set_title(title, fontsize="small")
                axes.set(xlabel="head", ylabel="layer")
            _add_colour_bar(body, cells, row, label=f"{evaluation} at {length}", extend="both")
    return figure


def group_heads(records: Sequence[Record]) -> tuple[HeadGrids, int]:
    """The numbers of single heads at the longest length, and that length."""
    of_heads = [record for record in records if record.layer is not None]
    longest = max((record.length for record in of_heads), default=0)
    cells: dict[str, dict[str, dict[tuple[int, int], float]]] = {}
    for record in of_heads:
        if record.length == longest and record.layer is not None and record.head is not None:
            name = format_of(record).title
            cells.setdefault(name, {}).setdefault(record.variant, {})[record.layer, record.head] = record.mean
    return {name: {arm: _to_array(one) for arm, one in by_arm.items()} for name, by_arm in cells.items()}, longest


def _to_array(cells: Mapping[tuple[int, int], float]) -> np.ndarray:
    layers, heads = (max(place[i] for place in cells) + 1 for i in (0, 1))
    grid = np.full((layers, heads), np.nan)
    for place, value in cells.items():
        grid[place] = value
    return grid


def _draw_cells(
    axes: Axes, values: np.ndarray, options: FigureOptions, low: float, high: float, digits: int | None = 2
) -> Any:
    """Shaded cells with their values in them if there are few; the picture that a colour bar needs.

    Args:
        digits: after the point; None writes no values.
    """
    colours = colormaps[SEQUENTIAL].resampled(LEVELS)
    if values.size <= MAX_VECTOR_CELLS:
        edges = (np.arange(n + 1) - 0.5 for n in reversed(values.shape))
        masked = np.ma.masked_invalid(values)
        cells: Any = axes.pcolormesh(*edges, masked, cmap=colours, vmin=low, vmax=high, edgecolor="face", linewidth=0.3)
        axes.invert_yaxis()
    else:
        cells = axes.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if digits is not None and values.size <= MAX_NUMBERS and values.shape[1] <= MAX_COLUMNS:
        for (row, column), value in np.ndenumerate(values):
            text = f"{value:.{digits}f}" if np.isfinite(value) else "–"
            ink = _ink_on(cells.to_rgba(value)) if np.isfinite(value) else INK
            size = 0.85 * options.font_size
            axes.text(column, row, text, ha="center", va="center_baseline", fontsize=size, color=ink)
    return cells


def _ink_on(rgba: Sequence[float]) -> str:
    """Black or white, whichever has more contrast on a shade (relative luminance of WCAG 2)."""
    parts = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in rgba[:3])
    luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))
    return "#000000" if luminance > np.sqrt(1.05 * 0.05) - 0.05 else "#ffffff"


def _add_colour_bar(body: Any, cells: Any, axes: Any, **options: Any) -> None:
    if cells is not None:
        bar = body.colorbar(cells, ax=axes, shrink=0.9, pad=0.02, **options)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0)
