"""Table 1 of YaRN: PI, NTK and YaRN at twice the trained length, and a quarter beyond."""

from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, below, judged
from ropelab.reporting.page import Section
from ropelab.reporting.readings import Readings, columns
from ropelab.reporting.studies.extended import Extended, extended

PAPER = """
Llama-2-7B, extended to 8192 | 2048 | 4096 | 6144 | 8192 | 10240
PI, s = 2, 1000 million tokens | 3.92 | 3.51 | 3.51 | 3.34 | 8.07
NTK, base 20000, 1000 million tokens | 4.20 | 3.75 | 3.74 | 3.59 | 6.24
YaRN, s = 2, 400 million tokens | 3.91 | 3.50 | 3.51 | 3.35 | 6.04
"""
SOURCE = "Peng et al., arXiv 2309.00071, table 1: Proof-pile, windows of 256 new tokens."
SHARE = 0.4
ARMS = {
    "pi2": "PI(factor=2)",
    "ntk2": "NTK(alpha=2)",
    "yarn2": "YaRN(factor=2)",
    "yarn2 early": "YaRN(factor=2), 40 % of the steps",
    "base": "unchanged",
}


def readings(found: Extended) -> Readings:
    """After the last step, and of YaRN also after 40 % of the steps."""
    steps = max((row["step"] for row in found.rows if row["arm"] == "yarn2"), default=0)
    rows = [row for row in found.rows if row["arm"] == "yarn2" and row["step"] == round(SHARE * steps)]
    early = Extended(found.trained, [{**row, "arm": "yarn2 early", "last": True} for row in rows])
    return found.last() | early.last()


def claims(trained: int) -> list[Claim]:
    target, past = 2 * trained, int(2.5 * trained)
    ratio = 10240 / 8192

    return [
        Claim("YaRN after 40 % of the steps is within 1 % of PI at the target, or below it",
              below(("yarn2 early", target), ("pi2", target), times=1 / 1.01)),
        Claim("YaRN after as many steps is within 1 % of PI at the target, or below it",
              below(("yarn2", target), ("pi2", target), times=1 / 1.01)),
        Claim("at the target NTK is above PI", below(("pi2", target), ("ntk2", target))),
        Claim("at the target NTK is above YaRN", below(("yarn2", target), ("ntk2", target))),
        Claim(f"at {ratio:g} times the target PI is above NTK", below(("ntk2", past), ("pi2", past))),
        Claim(f"at {ratio:g} times the target PI is above YaRN", below(("yarn2", past), ("pi2", past))),
        Claim("YaRN is below the unchanged model at the target", below(("yarn2", target), ("base", target))),
    ]  # fmt: skip


def section(root: Path) -> Section:
    found = extended(root)
    values, trained = readings(found), found.trained
    steps = found.by_step(2 * trained)
    wanted = [int(times * trained) for times in (0.5, 1, 1.5, 2, 2.5)]
    return Section(
        "Extending to twice the trained length (YaRN, table 1)",
        "Does YaRN come with fewer steps to what PI comes to, and what is left beyond the target?",
        judged(claims(trained), values),
        [
            grid.table("Ours", values, ARMS, [c for c in wanted if c in columns(values)], note=found.note()),
            grid.printed("As printed", PAPER, SOURCE),
            grid.chart("Perplexity by steps, at twice the trained length", steps,
                       {"direct2": "directly", **{a: n for a, n in ARMS.items() if a in ("pi2", "ntk2", "yarn2")}},
                       x="steps of fine-tuning", y="perplexity per token", log_x=False, note=found.note()),
            grid.chart("Perplexity by length, after the last step", values, ARMS, x="length of the text, tokens",
                       y="perplexity per token", dashed=("yarn2 early",), note=found.note(),
                       marks=((trained, f"trained on {trained}"), (2 * trained, f"extended to {2 * trained}"))),
        ],
    )  # fmt: skip
