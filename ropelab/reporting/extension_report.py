"""Extending a byte model: perplexity against steps, and how many steps YaRN needs for what PI reaches in all.

Runs are folders `<method>-<factor>`. The verdicts are YaRN's and PI's claims, each printed as it came out.
"""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from ropelab.reporting.runs import Row, markdown, setting
from ropelab.reporting.training_figure import Line, training_figure

Curve = dict[int, float]  # step → perplexity
SHARE = 0.4  # YaRN, arXiv 2309.00071, section 4: 400 steps against PI's 1000


def curves(evaluations: Mapping[str, list[Row]], factor: int, length: int) -> dict[str, Curve]:
    """Perplexity by step at one length, of every method at this factor."""
    found: dict[str, Curve] = {}
    for name, table in evaluations.items():
        method, _, by = name.rpartition("-")
        if by == str(factor):
            found[method] = {row["step"]: row["perplexity"] for row in table if row["length"] == length}
    return {method: curve for method, curve in found.items() if curve}


def table(found: Mapping[str, Curve]) -> str:
    """A line a method, a column a step."""
    steps = sorted({step for curve in found.values() for step in curve})
    lines = [[m, *(f"{curve[s]:.3f}" if s in curve else "" for s in steps)] for m, curve in found.items()]
    return markdown(["steps", *map(str, steps)], lines)


def reached(curve: Curve, level: float) -> int | None:
    """The first step at which the curve is no higher than a level."""
    return next((step for step in sorted(curve) if curve[step] <= level), None)


def verdicts(
    at_target: Mapping[str, Curve], beyond: Mapping[str, Curve], at_trained: Mapping[str, Curve] | None = None
) -> list[str]:
    """What became of the papers' claims."""
    if not {"pi", "yarn"} <= set(at_target):
        return ["PI and YaRN are both needed for a verdict"]
    pi, yarn = at_target["pi"], at_target["yarn"]
    last = max(pi)
    level, step = pi[last], reached(yarn, pi[last])
    told = [
        f"YaRN reaches PI's perplexity of {last} steps ({level:.3f}) "
        + (f"after {step} steps, {step / last:.0%} of them" if step is not None else "not at all")
        + f"; the paper has {SHARE:.0%}: {'holds' if step is not None and step <= SHARE * last else 'DOES NOT HOLD'}",
        f"PI's perplexity falls from {pi[0]:.3f} to {level:.3f}: {'holds' if level < pi[0] else 'DOES NOT HOLD'}",
    ]
    if "direct" in at_target:
        direct = at_target["direct"][last]
        told.append(
            f"fine-tuning directly reaches {direct:.3f}, PI {level:.3f}; PI's paper has it far behind: "
            f"{'holds' if direct > 1.1 * level else 'DOES NOT HOLD'}"
        )
    if at_trained and "direct" in at_trained:
        before = at_trained["direct"][0]
        told.append(
            f"PI ends at {level:.3f} where the model had {before:.3f} at its trained length; PI's table 3 has it below "
            f"after 200 steps: {'holds' if level < before else 'DOES NOT HOLD'}"
        )
    if {"ntk", "pi"} <= set(beyond):
        ntk, out = beyond["ntk"][last], beyond["pi"][last]
        told.append(
            f"at twice the target NTK has {ntk:.3f} and PI {out:.3f}; YaRN's table 1 has PI worse there: "
            f"{'holds' if ntk < out else 'DOES NOT HOLD'}"
        )
    return told


def extension_report(evaluations: Mapping[str, list[Row]], workdir: Path) -> tuple[str, Figure]:
    """The page, for each factor perplexity at the target, beyond it and at the trained length with the verdicts; the
    figure has the first of these."""
    trained = int(setting(workdir / "base", "length"))
    factors = sorted({int(name.rpartition("-")[2]) for name in evaluations if name.rpartition("-")[2].isdigit()})
    parts, panels = [], {}
    for factor in factors:
        target = factor * trained
        of = {length: curves(evaluations, factor, length) for length in (target, 2 * target, trained)}
        panels[f"{trained} to {target}, measured at {target}"] = {m: Line(c) for m, c in of[target].items()}
        parts.append(f"## {factor} times: {trained} to {target}")
        parts += [f"Perplexity at {length}, by steps.\n\n{table(found)}" for length, found in of.items()]
        parts.append("\n".join(f"- {line}" for line in verdicts(of[target], of[2 * target], of[trained])))
    protocol = (
        f"A byte model of {trained} bytes, fine-tuned at the new length; held-out text in windows of it that do "
        "not overlap; step 0 is before any fine-tuning."
    )
    return "\n\n".join([*parts, protocol]) + "\n", training_figure(panels, x="steps", protocol=protocol)
