"""Perplexity against position: where an arm breaks down, at a glance."""

import io
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ropelab.reporting.perplexity_table import is_chopped

TITLE = 70  # characters of a line that fit over the axes
COLOURS = ("#222222", "#8a8a8a", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def draw_perplexity(nll: Mapping[str, np.ndarray], *, trained_length: int, title: str, protocol: str) -> Figure:
    """One line for each arm, the protocol underneath.

    Args:
        nll: arm → [windows, length - 1], in nats, entry t for token t + 1.
        trained_length: marked by a vertical line if it lies within.
    """
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(12, 1))
    plot, foot = parts
    longest = max(values.shape[1] for values in nll.values()) + 1
    window = max(min(512, longest // 24), 1)
    axes, drawn = plot.add_subplot(), False
    for index, (arm, values) in enumerate(nll.items()):
        style = "--" if is_chopped(arm) else "-"
        colour = COLOURS[index % len(COLOURS)]
        centres, perplexities = average_windows(values, window)
        shown = np.where(np.isfinite(perplexities), perplexities, np.nan)
        label = arm if np.isfinite(perplexities).all() else f"{arm} (not finite where no line is drawn)"
        axes.plot(centres, shown, style, color=colour, label=label, linewidth=1.6)
        drawn |= bool(np.isfinite(shown).any())
    if 0 < trained_length < longest:
        mark_length(axes, trained_length)
    axes.set(xlim=(0, longest), xlabel="position (tokens)", ylabel=f"perplexity over {window} tokens")
    axes.set_title("\n".join(textwrap.wrap(title, TITLE)), loc="left")
    if not drawn:
        axes.set_ylim(1, 10)  # matplotlib finds no logarithmic limits without a positive value
    set_log_scale(axes)
    plot.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2, frameon=False, fontsize=8)
    foot.text(0.01, 0.5, "\n".join(textwrap.wrap(protocol, 170)), fontsize=6, va="center", color="#666666")
    return figure


def mark_length(axes: Axes, trained_length: int) -> None:
    axes.axvline(trained_length, color="#999999", linewidth=0.8, linestyle=":")
    place = (trained_length, 0.99)
    axes.annotate(f" trained on {trained_length}", place, xycoords=("data", "axes fraction"), va="top", fontsize=8)


def set_log_scale(axes: Axes) -> None:
    """A logarithmic perplexity axis with plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, which="major", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def average_windows(nll: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres of whole windows, and exp of the mean NLL in each."""
    count = max(nll.shape[1] // window, 1)
    size = min(window, nll.shape[1])
    means = nll[:, : count * size].astype(np.float64).reshape(nll.shape[0], count, size).mean(axis=(0, 2))
    with np.errstate(over="ignore"):  # to inf, which is what is meant
        return 1 + size * (np.arange(count) + 0.5), np.exp(means)


def render(figure: Figure, kind: str) -> bytes:
    """The figure as "png" or "pdf"."""
    buffer = io.BytesIO()
    # a date would make every PDF another file
    figure.savefig(buffer, format=kind, dpi=150, metadata={"CreationDate": None} if kind == "pdf" else None)
    return buffer.getvalue()
