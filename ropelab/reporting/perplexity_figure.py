"""Perplexity against position: where an arm breaks down, at a glance."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

COLOURS = ("#222222", "#8a8a8a", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def perplexity_figure(
    nll: Mapping[str, np.ndarray], *, trained_length: int, window: int, title: str, protocol: str
) -> Figure:
    """One line for each arm.

    Args:
        nll: arm → [windows, length - 1], in nats, entry t for token t + 1.
        trained_length: marked by a vertical line if it lies within.
        window: tokens that one point averages over.
    """
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    axes = figure.add_subplot()
    longest = max(values.shape[1] for values in nll.values()) + 1
    for index, (arm, values) in enumerate(nll.items()):
        positions, perplexity = averaged(values, window)
        style = "--" if "chopped" in arm else "-"
        axes.plot(positions, perplexity, style, color=COLOURS[index % len(COLOURS)], label=arm, linewidth=1.6)
    if 0 < trained_length < longest:
        axes.axvline(trained_length, color="#999999", linewidth=0.8, linestyle=":")
        axes.annotate(f" trained length {trained_length}", (trained_length, 0.99), xycoords=("data", "axes fraction"),
                      va="top", fontsize=8, color="#666666")  # fmt: skip
    axes.set(yscale="log", xlim=(0, longest), xlabel="position (tokens)")
    axes.set_ylabel(f"perplexity over {window} tokens")
    axes.set_title(title, loc="left")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(True, which="both", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2, frameon=False, fontsize=8)
    figure.supxlabel(wrapped(protocol, 150), fontsize=6, x=0.01, ha="left", color="#666666")
    return figure


def averaged(nll: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres of whole windows, and exp of the mean NLL in each."""
    count = max(nll.shape[1] // window, 1)
    size = min(window, nll.shape[1])
    means = nll[:, : count * size].astype(np.float64).reshape(nll.shape[0], count, size).mean(axis=(0, 2))
    return 1 + size * (np.arange(count) + 0.5), np.exp(means)


def wrapped(text: str, width: int) -> str:
    """Lines of at most `width` letters, broken at spaces."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] += f"{word} "
    return "\n".join(line.strip() for line in lines)


def image(figure: Figure, kind: str) -> bytes:
    """The figure as "png" or "pdf"."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=150)
    return buffer.getvalue()
