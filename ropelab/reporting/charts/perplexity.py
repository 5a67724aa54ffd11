"""Charts of a swap by position: perplexity, and the difference to the unchanged model on chopped text."""

from collections.abc import Mapping, Sequence

import numpy as np

from ropelab.evaluation.intervals import half_width
from ropelab.reporting.charts.style import is_chopped
from ropelab.reporting.page import Chart, Point, Series

Losses = Mapping[str, np.ndarray]  # variant → [windows, length - 1], in nats; entry t is the loss of token t + 1
POINTS = 24  # per line of perplexities, each over at most MAX_BIN tokens
MAX_BIN = 512
DIFFERENCE_POINTS = 12
MAX_DIFFERENCE_BIN = 1024
BLOCKS = 16  # per bin, from which an interval is computed where there is only one window
LIMIT = 0.5  # nats per token, a perplexity 1.65 times as high; beyond, a variant has broken down


def perplexity_chart(nll: Losses, *, trained_length: int, title: str = "", note: str = "") -> Chart:
    """Perplexity against position, one line per variant, the trained length marked where it is within."""
    longest = _longest(nll)
    size = _bin_size(longest - 1, POINTS, MAX_BIN)
    series = []
    for variant, values in nll.items():
        centres, means = average_bins(values, size)
        with np.errstate(over="ignore"):  # inf is the perplexity of a loss beyond 709 nats
            perplexities = np.exp(means.mean(axis=0))
        points = [Point(float(x), float(y)) for x, y in zip(centres, perplexities, strict=True)]
        series.append(Series(variant, points))
    y = f"perplexity over {size} tokens"
    marks = _mark_trained_length(trained_length, longest)
    return Chart(title or "Perplexity by position", "position (tokens)", y, series, False, True, marks, note)


def difference_chart(nll: Losses, *, trained_length: int, where: str = "", note: str = "") -> Chart | None:
    """Loss per token minus that of the unchanged model on chopped text, against position, with 95 % intervals.

    Differences are taken token by token, so that most of what the text does cancels. The t interval is over windows,
    or, for a single window, over equal blocks of each bin. None if there is nothing to compare.

    Args:
        where: model and text, for the title.
    """
    reference = next((variant for variant in nll if is_chopped(variant)), next(iter(nll), None))
    if reference is None or len(nll) < 2:
        return None
    longest = _longest(nll)
    size = _bin_size(longest - 1, DIFFERENCE_POINTS, MAX_DIFFERENCE_BIN)
    size = size // BLOCKS * BLOCKS or size  # so that bins begin where blocks do
    series = []
    for variant, values in nll.items():
        if values.shape == nll[reference].shape:
            differences = values.astype(np.float64) - nll[reference]
            series.append(Series(variant, _points(differences, size, with_interval=variant != reference)))
    sampled = "windows" if nll[reference].shape[0] > 1 else f"blocks of {max(size // BLOCKS, 1)} tokens"
    said = f"Mean over {size} tokens, 95 % t interval over {sampled}."
    if any(abs(point.y) > LIMIT for line in series for point in line.points):
        said += f" Cut off beyond {LIMIT} nats per token."
    marks = _mark_trained_length(trained_length, longest)
    y = "difference in nats per token"
    title = f"Loss minus that of {reference}" + (f": {where}" if where else "")
    limits = (-LIMIT, LIMIT)
    return Chart(title, "position (tokens)", y, series, False, False, marks, f"{said} {note}".strip(), limits)


def average_bins(values: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres [n] and means [windows, n] of whole bins of `size` tokens; of a shorter text, one bin."""
    count = max(values.shape[1] // size, 1)
    size = min(size, values.shape[1])
    means = values[:, : count * size].astype(np.float64).reshape(values.shape[0], count, size).mean(axis=2)
    return 1 + size * (np.arange(count) + 0.5), means


def _points(differences: np.ndarray, size: int, *, with_interval: bool) -> list[Point]:
    """The mean and its interval in each bin."""
    centres, means = average_bins(differences, size)
    samples = means
    blocks = average_bins(differences, max(min(size, differences.shape[1]) // BLOCKS, 1))[1]
    if means.shape[0] == 1 and blocks.shape[1] >= means.shape[1] * BLOCKS:
        samples = blocks[0, : means.shape[1] * BLOCKS].reshape(means.shape[1], BLOCKS).T
    points = []
    for x, mean, column in zip(centres, means.mean(axis=0), samples.T, strict=True):
        if not with_interval or len(column) < 2 or not np.isfinite(column).all():
            points.append(Point(float(x), float(mean)))
            continue
        half = half_width(float(column.std(ddof=1)), len(column))
        points.append(Point(float(x), float(mean), float(mean) - half, float(mean) + half))
    return points


def _longest(nll: Losses) -> int:
    return max((values.shape[1] for values in nll.values()), default=0) + 1


def _bin_size(length: int, points: int, most: int) -> int:
    return max(min(most, length // points), 1)


def _mark_trained_length(trained_length: int, longest: int) -> Sequence[tuple[float, str]]:
    return ((trained_length, f"trained on {trained_length}"),) if 0 < trained_length < longest else ()
