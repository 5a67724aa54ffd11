"""Attention resolution of trainings: a table by length, the paper's order seed by seed, and scores against distance.

LEX (Sun et al., arXiv 2212.10554) says that xPos and blockwise causal attention make it higher, and that RoPE's scores
oscillate where xPos's are damped. The order xPos > ALiBi > RoPE > NoPE is that of small models that were tried before.
"""

import itertools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ropelab.evaluation import intervals
from ropelab.reporting.charts.perplexity import COLOURS, mark_length
from ropelab.reporting.runs import markdown

Record = Mapping[str, Any]
Found = Mapping[str, Mapping[int, Mapping[int, float]]]  # arm → length → seed → R
Curves = dict[str, np.ndarray]  # run, <arm>-<seed> → s[n]
BLOCKED = "xpos + BlockwiseCausal"
ORDER = ("xpos", "alibi", "rope", "nope")
CLAIMS = ((BLOCKED, "xpos"), ("xpos", "rope"), *itertools.pairwise(ORDER), ORDER)  # each from the highest to the lowest
SHOWN = (BLOCKED, "xpos", "rope + BlockwiseCausal", "rope", "alibi", "nope")
NUMBERS = {
    "resolution": "of the mean score over layers and heads",
    "resolution.per_head": "mean of the heads' own",
    "resolution.expected": "expected, q = k = 1, the mean score over heads",
}
STYLES: dict[str, str] = dict(zip(("xpos", "rope", "alibi", "nope", "sinusoidal"), COLOURS[2:], strict=False))


def values(records: Sequence[Record], name: str) -> Found:
    """Arm → length → seed → R, in the order of `SHOWN`."""
    found: dict[str, dict[int, dict[int, float]]] = {}
    for record in records:
        if record["eval"] == name:
            found.setdefault(record["arm"], {}).setdefault(record["length"], {})[record["seed"]] = record["value"]
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
    return "\n\n".join([*parts, f"Protocol: {records[0]['protocol']}."]) + "\n"


def resolution_figure(measured: Curves, expected: Curves, trained: int, protocol: str) -> Figure:
    """s[n] against n: as measured, the band being the seeds, and with q and k of ones."""
    figure = Figure(figsize=(10.5, 5.0), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(12, 1))
    panels: Any = parts[0].subplots(1, 2)
    draw(panels[0], measured, lambda s_n: s_n)
    panels[0].set(title="measured on held-out text", ylabel="mean scaled score")
    # from 0 on, because constants say nothing about position and differ widely: what an encoding does is the shape
    draw(panels[1], expected, lambda s_n: s_n - s_n[0])
    panels[1].set(title="expected with q = k = 1, less its value at 0")
    for axes in panels:
        axes.set_xlabel("distance (tokens)")
        mark_length(axes, trained)
    parts[0].legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=5, frameon=False)
    parts[1].text(0.01, 0.5, "\n".join(textwrap.wrap(protocol, 170)), fontsize=7, va="center", color="#666666")
    return figure


def draw(axes: Axes, curves: Curves, shown: Callable[[np.ndarray], np.ndarray]) -> None:
    """The mean of an arm's seeds as a line, all of them as a band."""
    for arm in sorted({name.rpartition("-")[0] for name in curves if "+" not in name}):
        own = np.stack([shown(s_n) for name, s_n in curves.items() if name.rpartition("-")[0] == arm])
        n = np.arange(own.shape[1])
        colour = STYLES.get(arm)
        (line,) = axes.plot(n, own.mean(axis=0), color=colour, linewidth=1.2, label=arm)
        axes.fill_between(n, own.min(axis=0), own.max(axis=0), color=line.get_color(), alpha=0.15, linewidth=0)
