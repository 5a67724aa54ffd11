"""Table 3 of PI: perplexity at the extended length by steps of fine-tuning."""

import itertools
from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, Missing, One, below, judged
from ropelab.reporting.page import Section
from ropelab.reporting.readings import Readings, columns
from ropelab.reporting.studies.extended import Extended, extended

PAPER = """
Llama 7B, PG-19 | 0 | 200 | 400 | 600 | 800 | 1000
PI, 8192 | 16.10 | 7.12 | 7.10 | 7.02 | 6.99 | 6.95
PI, 16384 | 112.13 | 7.05 | 6.93 | 6.88 | 6.84 | 6.83
"""
SOURCE = "Chen et al., arXiv 2306.15595, table 3. Unchanged at 2048: 7.20."
ARMS = {"pi2": "PI, to twice", "pi4": "PI, to four times", "direct2": "directly, to twice"}


def readings(found: Extended) -> Readings:
    """Each arm by steps at its own target; `base` is the unchanged model at the trained length, in column 0."""
    twice, four = found.by_step(2 * found.trained), found.by_step(4 * found.trained)
    base = found.last().get("base", {}).get(found.trained, {})
    by_arm: Readings = {"base": {0: base}} if base else {}
    for arm, of in (("pi2", twice), ("pi4", four), ("direct2", twice)):
        by_arm |= {arm: of[arm]} if arm in of else {}
    return by_arm


def gained_early(arm: str):
    """More than half of all that is gained is gained in the first fifth of the steps."""

    def margin(one: One) -> float:
        steps = [c for c in one.columns(arm) if isinstance(c, int)]
        if len(steps) < 3:
            raise Missing(arm)
        first, second, last = one(arm, steps[0]), one(arm, steps[1]), one(arm, steps[-1])
        return (first - second) / (first - last) - 0.5

    return margin


def monotone(arm: str):
    """Falls from look to look, by less than 1 % at worst."""

    def margin(one: One) -> float:
        steps = one.columns(arm)
        if len(steps) < 3:
            raise Missing(arm)
        return min(below((arm, b), (arm, a), times=1 / 1.01)(one) for a, b in itertools.pairwise(steps))

    return margin


def claims(last: int) -> list[Claim]:
    return [
        Claim("PI to twice falls at every look, within 1 %", monotone("pi2")),
        Claim("PI to four times falls at every look, within 1 %", monotone("pi4")),
        Claim("more than half of what PI to twice gains is gained in the first fifth of the steps",
              gained_early("pi2"), lambda m: f"{50 + 100 * m:.0f} % of it"),
        Claim("PI to four times begins above PI to twice", below(("pi2", 0), ("pi4", 0))),
        Claim("by the end PI to twice is below the unchanged model at the trained length",
              below(("pi2", last), ("base", 0))),
        Claim("before any step PI is below 20 times the perplexity of the unchanged model at the trained length",
              below(("pi2", 0), ("base", 0), times=1 / 20)),
    ]  # fmt: skip


def section(root: Path) -> Section:
    found = extended(root)
    values = readings(found)
    steps = columns(values, "pi2")
    last = max((c for c in steps if isinstance(c, int)), default=0)
    note = f"Each at its own target. {found.note()}"
    return Section(
        "How many steps PI needs (PI, table 3)",
        "How fast does perplexity at the extended length fall?",
        judged(claims(last), values),
        [
            grid.table("Ours, by steps", values, ARMS, steps, note=note),
            grid.printed("As printed", PAPER, SOURCE),
            grid.chart("Perplexity at the target, by steps", values, ARMS, x="steps of fine-tuning",
                       y="perplexity per token", log_x=False, note=note),
        ],
    )  # fmt: skip
