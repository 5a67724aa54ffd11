"""Attention resolution of trainings: a table by length, the paper's order seed by seed, and scores against distance.

LEX (Sun et al., arXiv 2212.10554) says that xPos and blockwise causal attention make it higher, and that RoPE's scores
oscillate where xPos's are damped. The order xPos > ALiBi > RoPE > NoPE is that of small models that were tried before.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ropelab.evaluation import intervals
from ropelab.evaluation.record import Record
from ropelab.reporting.charts.lines import mark_every, mark_x
from ropelab.reporting.charts.style import (
    FigureOptions,
    Styles,
    add_legend,
    assign_styles,
    figure_style,
    new_figure,
)
from ropelab.reporting.tables import markdown_grid as markdown

Found = Mapping[str, Mapping[int, Mapping[int, float]]]  # arm → length → seed → R
Curves = dict[str, np.ndarray]  # run, <arm>-<seed> → s[n]
BLOCKED = "xpos + BlockwiseCausal"
ORDER = ("xpos", "alibi", "rope", "nope")
CLAIMS = ((BLOCKED, "xpos"), ("xpos", "rope"), *itertools.pairwise(ORDER), ORDER)  # each from the highest to the lowest
SHOWN = (BLOCKED, "xpos", "rope + BlockwiseCausal", "rope", "alibi", "nope")
NUMBERS = {
    "resolution": "of the mean score over layers and heads",
    "per_head": "mean of the heads' own",
    "expected": "expected, q = k = 1, the mean score over heads",
}


def values(records: Sequence[Record], name: str) -> Found:
    """Arm → length → seed → R, in the order of `SHOWN`."""
    found: dict[str, dict[int, dict[int, float]]] = {}
    for record in records:
        if record.metric == name:
            found.setdefault(record.variant, {}).setdefault(record.length, {})[record.seed] = record.mean
    return dict(sorted(found.items(), key=lambda item: SHOWN.index(item[0]) if item[0] in SHOWN else len(SHOWN)))


def table(found: Found, trained: int) -> str:
    """Mean over seeds ± the half-width of the 95 % t interval."""
    lengths = sorted({length for by_length in found.values() for length in by_length})
    lines = []
    for arm, by_length in found.items():
        cells = [interval(list(by_length[n].values())) if n in by_length else "–" for n in lengths]
        lines.append([arm, str(max(map(len, by_length.values()))), *cells])
    return markdown(["arm", "seeds", *(f"{n} ({n / trained:g}x)" for n in lengths)], lines)


def interval(seeds: Sequence[float]) -> str:
    mean, half = intervals.mean_and_half_width(seeds)
    return f"{mean:.4f} ± {half:.4f}" if len(seeds) > 1 else f"{mean:.4f}"


def verdicts(found: Found, trained: int) -> list[str]:
    """Each claim beyond the trained length, with the seeds in which it holds."""
    beyond = sorted({length for by_length in found.values() for length in by_length if length > trained})
    there = [claim for claim in CLAIMS if set(claim) <= set(found)]
    return [verdict(found, n, claim, n / trained) for n in beyond for claim in there]


def verdict(found: Found, length: int, order: Sequence[str], times: float) -> str:
    """Whether arms have resolutions in this order."""
    seeds = sorted(set.intersection(*(set(found[arm][length]) for arm in order)))
    holds = [all(found[a][length][s] > found[b][length][s] for a, b in itertools.pairwise(order)) for s in seeds]
    return said(f"at {times:g} times {' > '.join(order)}", holds)


def oscillation(curves: Curves) -> list[str]:
    """The figure's claim, in numbers."""
    both = sorted(seeds_of(curves, "rope") & seeds_of(curves, "xpos"))
    rough = {arm: [roughness(curves[f"{arm}-{seed}"]) for seed in both] for arm in ("rope", "xpos")}
    if not both:
        return []
    means = " and ".join(f"{np.mean(rough[arm]):.3f}" for arm in ("rope", "xpos"))
    claim = f"RoPE's scores oscillate more than xPos's: deviation of their second differences, {means}"
    return [said(claim, [a > b for a, b in zip(rough["rope"], rough["xpos"], strict=True)])]


def said(claim: str, holds: Sequence[bool]) -> str:
    word = "holds" if all(holds) else "DOES NOT HOLD"
    return f"- {word}: {claim} ({sum(holds)} of {len(holds)} seeds)"


def seeds_of(curves: Curves, arm: str) -> set[str]:
    return {seed for name in curves for own, _, seed in [name.rpartition("-")] if own == arm}


def roughness(s_n: np.ndarray) -> float:
    """The standard deviation of the second differences of s[n]."""
    return float(np.diff(s_n, 2).std())


def resolution_report(records: Sequence[Record], curves: Curves, trained: int) -> str:
    """The page: each number with its verdicts, and the protocol."""
    parts = [f"Trained on {trained} tokens. Mean over seeds ± the half-width of the 95 % t interval."]
    for name, title in NUMBERS.items():
        found = values(records, name)
        if found:
            parts += [f"## R {title}", table(found, trained), "\n".join(verdicts(found, trained))]
    found = oscillation(curves)
    parts += ["## Oscillation", "\n".join(found)] if found else []
    return "\n\n".join([*parts, f"Protocol: {records[0].protocol.line()}."]) + "\n"


def resolution_figure(measured: Curves, expected: Curves, trained: int, protocol: str) -> Figure:
    """s[n] against n: as measured, with all seeds as a band, and with q and k of ones."""
    options = FigureOptions(width=10.5)
    arms = sorted({name.rpartition("-")[0] for name in (*measured, *expected) if "+" not in name})
    styles = assign_styles(arms)
    with figure_style(options):
        figure, body = new_figure(4.6, options, note=protocol)
        panels: Any = body.subplots(1, 2)
        draw(panels[0], measured, styles, lambda s_n: s_n)
        panels[0].set(title="measured on held-out text", ylabel="mean scaled score")
        # relative to n = 0: constants depend on the encoding and carry no information about position
        draw(panels[1], expected, styles, lambda s_n: s_n - s_n[0])
        panels[1].set(title="expected with q = k = 1, minus its value at 0")
        for axes in panels:
            axes.set_xlabel("distance (tokens)")
            axes.grid(True)
            mark_x(axes, trained, f"trained on {trained}", dataclasses.replace(options, width=5.0))
        add_legend(body, options, *panels[0].get_legend_handles_labels())
    return figure


def draw(axes: Axes, curves: Curves, styles: Styles, shown: Callable[[np.ndarray], np.ndarray]) -> None:
    """The mean over an arm's seeds as a line, and the range of all of them as a band."""
    names = [name for name in curves if "+" not in name]
    for index, arm in enumerate(sorted({name.rpartition("-")[0] for name in names})):
        own = np.stack([shown(s_n) for name, s_n in curves.items() if name.rpartition("-")[0] == arm])
        n = np.arange(own.shape[1])
        style = styles[arm].keywords(linewidth=1.2, markevery=mark_every(len(n), index))
        axes.plot(n, own.mean(axis=0), label=arm, **style)
        axes.fill_between(n, own.min(axis=0), own.max(axis=0), color=styles[arm].colour, alpha=0.15, linewidth=0)
