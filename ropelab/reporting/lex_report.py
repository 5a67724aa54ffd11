"""The table of LEX from trainings at the size of a laptop, and what of the paper's ordering it shows.

Rows are arms, `<encoding>-<seed>` as folders; columns lengths; each value a mean over seeds. Under it, claim by claim
and seed by seed, whether it holds: a claim that does not is printed as such.
"""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ropelab.reporting.runs import Row, last, markdown, setting
from ropelab.reporting.training_figure import Line, training_figure

CAUSAL = "Causal()"
Curve = dict[int, float]  # length → perplexity


class Arm(NamedTuple):
    """A line of the table: an encoding, and the pattern that it was measured under."""

    encoding: str
    blocked: bool

    @property
    def name(self) -> str:
        return f"{self.encoding} + blockwise causal" if self.blocked else self.encoding


Curves = Mapping[Arm, Mapping[str, Curve]]  # arm → seed → curve
LEX, ROPE, ALIBI, SINUSOIDAL = Arm("xpos", True), Arm("rope", False), Arm("alibi", False), Arm("sinusoidal", False)


def curves(evaluations: Mapping[str, list[Row]]) -> dict[Arm, dict[str, Curve]]:
    """Perplexity by length of the last step of every run."""
    found: dict[Arm, dict[str, Curve]] = {}
    for name, table in evaluations.items():
        encoding, _, seed = name.rpartition("-")
        for row in last(table):
            arm = Arm(encoding, row["pattern"] != CAUSAL)
            found.setdefault(arm, {}).setdefault(seed, {})[row["length"]] = row["perplexity"]
    return found


def table(found: Curves) -> str:
    """Mean over seeds, and the largest distance of a seed from it."""
    lengths = sorted({n for seeds in found.values() for curve in seeds.values() for n in curve})
    lines = []
    for arm, seeds in sorted(found.items()):
        values = np.array([[curve[n] for n in lengths] for curve in seeds.values()])
        mean, off = values.mean(0), np.abs(values - values.mean(0)).max(0)
        lines.append([arm.name, str(len(seeds)), *(f"{m:.2f} ± {o:.2f}" for m, o in zip(mean, off, strict=True))])
    return markdown(["arm", "seeds", *map(str, lengths)], lines)


class Claim(NamedTuple):
    """Something the paper's table shows, and how a seed of ours is asked about it."""

    text: str
    holds: Callable[[Mapping[Arm, Curve], int], bool]


def below(low: Arm, high: Arm, times: int) -> Callable[[Mapping[Arm, Curve], int], bool]:
    return lambda of, trained: of[low][times * trained] < of[high][times * trained]


def falling(arm: Arm) -> Callable[[Mapping[Arm, Curve], int], bool]:
    """From the trained length on, each length below the one before it."""

    def holds(of: Mapping[Arm, Curve], trained: int) -> bool:
        values = [of[arm][n] for n in sorted(of[arm]) if n >= trained]
        return all(after < before for before, after in itertools.pairwise(values))

    return holds


CLAIMS = [
    *(
        Claim(f"at {times} times the trained length {high.encoding} is worse than {low.name}", below(low, high, times))
        for times in (4, 8)
        for high, low in ((SINUSOIDAL, ROPE), (ROPE, ALIBI), (ALIBI, LEX))
    ),
    Claim("sinusoidal at 4 times is more than five times its value at the trained length",
          lambda of, trained: of[SINUSOIDAL][4 * trained] > 5 * of[SINUSOIDAL][trained]),
    Claim("LEX falls with every doubling", falling(LEX)),
    Claim("at the trained length ALiBi is better than RoPE", below(ALIBI, ROPE, 1)),
    Claim("blockwise causal attention alone does not do it: RoPE with it stays above LEX at 8 times",
          below(LEX, Arm("rope", True), 8)),
]  # fmt: skip


def verdicts(found: Curves, trained: int) -> list[tuple[str, int, int]]:
    """`(claim, seeds in which it holds, seeds asked)`; a claim about arms that are missing is left out."""
    seeds = sorted({seed for runs in found.values() for seed in runs})
    told = []
    for claim in CLAIMS:
        answers = []
        for seed in seeds:
            of = {arm: runs[seed] for arm, runs in found.items() if seed in runs}
            try:
                answers.append(claim.holds(of, trained))
            except KeyError:
                continue
        if answers:
            told.append((claim.text, sum(answers), len(answers)))
    return told


def lex_report(evaluations: Mapping[str, list[Row]], workdir: Path) -> tuple[str, Figure]:
    """The page, table and verdicts, and its figure."""
    found, trained = curves(evaluations), int(setting(workdir / next(iter(evaluations)), "length"))
    tokens = max(row["tokens"] for table in evaluations.values() for row in table)
    told = [f"- {word(good, asked)}: {claim} ({good} of {asked})" for claim, good, asked in verdicts(found, trained)]
    protocol = (
        f"Trained on {trained} bytes a row; perplexity per byte of {tokens} held-out bytes in windows that do not "
        "overlap; mean over seeds ± the seed farthest from it."
    )
    panels = {"Perplexity by length": {arm.name: line(arm, seeds) for arm, seeds in sorted(found.items())}}
    figure = training_figure(panels, x="length of the text, bytes", protocol=protocol, trained_length=trained)
    return "\n\n".join([table(found), protocol, "\n".join(told)]) + "\n", figure


def line(arm: Arm, seeds: Mapping[str, Curve]) -> Line:
    """The mean over seeds, between the lowest and the highest."""
    at = {n: [curve[n] for curve in seeds.values()] for n in next(iter(seeds.values()))}
    mean, spread = {n: sum(v) / len(v) for n, v in at.items()}, {n: (min(v), max(v)) for n, v in at.items()}
    return Line(mean, dashed=arm.blocked, spread=spread)


def word(good: int, asked: int) -> str:
    return "holds" if good == asked else "holds in some" if good else "DOES NOT HOLD"
