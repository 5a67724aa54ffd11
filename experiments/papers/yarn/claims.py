"""YaRN (arXiv 2309.00071): tables 1 and 2, perplexity at and beyond the length that a model was extended to."""

from pathlib import Path

from experiments.papers.extension.readings import Extended, read_extended
from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, below, judged
from ropelab.reporting.page import Section
from ropelab.reporting.readings import Readings, columns

_TABLE1_PRINTED = """
Llama-2-7B, extended to 8192 | 2048 | 4096 | 6144 | 8192 | 10240
PI, s = 2, 1000 million tokens | 3.92 | 3.51 | 3.51 | 3.34 | 8.07
NTK, base 20000, 1000 million tokens | 4.20 | 3.75 | 3.74 | 3.59 | 6.24
YaRN, s = 2, 400 million tokens | 3.91 | 3.50 | 3.51 | 3.35 | 6.04
"""
_TABLE1_SOURCE = "Peng et al., arXiv 2309.00071, table 1: Proof-pile, windows of 256 new tokens."
_EARLY_SHARE = 0.4
_TABLE1_ARMS = {
    "pi2": "PI(factor=2)",
    "ntk2": "NTK(alpha=2)",
    "yarn2": "YaRN(factor=2)",
    "yarn2 early": "YaRN(factor=2), 40 % of the steps",
    "base": "unchanged",
}


def _read_table1(found: Extended) -> Readings:
    """After the last step, and of YaRN also after 40 % of the steps."""
    steps = max((row.step or 0 for row in found.rows if row.variant == "yarn2"), default=0)
    rows = [row for row in found.rows if row.variant == "yarn2" and row.step == round(_EARLY_SHARE * steps)]
    early = Extended(found.trained, [row.replace(variant="yarn2 early") for row in rows])
    return found.last() | early.last()


def _table1_claims(trained: int) -> list[Claim]:
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


def table1_section(root: Path) -> Section:
    found = read_extended(root)
    values, trained = _read_table1(found), found.trained
    steps = found.by_step(2 * trained)
    wanted = [int(times * trained) for times in (0.5, 1, 1.5, 2, 2.5)]
    return Section(
        "Extending to twice the trained length (YaRN, table 1)",
        "Does YaRN come with fewer steps to what PI comes to, and what is left beyond the target?",
        judged(_table1_claims(trained), values),
        [
            grid.table("Ours", values, _TABLE1_ARMS, [c for c in wanted if c in columns(values)], note=found.note()),
            grid.printed("As printed", _TABLE1_PRINTED, _TABLE1_SOURCE),
            grid.chart("Perplexity by steps, at twice the trained length", steps,
                       {"direct2": "directly", **{a: _TABLE1_ARMS[a] for a in ("pi2", "ntk2", "yarn2")}},
                       x="steps of fine-tuning", y="perplexity per token", log_x=False, note=found.note()),
            grid.chart("Perplexity by length, after the last step", values, _TABLE1_ARMS,
                       x="length of the text, tokens", y="perplexity per token", dashed=("yarn2 early",),
                       note=found.note(),
                       marks=((trained, f"trained on {trained}"), (2 * trained, f"extended to {2 * trained}"))),
        ],
    )  # fmt: skip


# Table 2 of YaRN: a model extended far, and one extended farther from it by training on the same lengths.

_TABLE2_PRINTED = """
model | trained on | 8192 | 32768 | 65536 | 98304 | 131072
7B Together, PI | 32k | 3.50 | 2.64 | >10^2 | >10^3 | >10^4
7B Code Llama, NTK | 16k | 3.71 | 2.74 | 2.55 | 2.54 | 2.71
7B YaRN, s = 16 | 64k | 3.51 | 2.65 | 2.42 | >10^1 | >10^1
7B YaRN, s = 32 | 64k | 3.56 | 2.70 | 2.45 | 2.36 | 2.37
13B Code Llama, NTK | 16k | 3.54 | 2.63 | 2.41 | 2.37 | 2.54
13B YaRN, s = 16 | 64k | 3.25 | 2.50 | 2.29 | >10^1 | >10^1
13B YaRN, s = 32 | 64k | 3.29 | 2.53 | 2.31 | 2.23 | 2.24
"""
_TABLE2_SOURCE = "Peng et al., arXiv 2309.00071, table 2: Proof-pile, windows of 256 new tokens."
_TABLE2_ARMS = {
    "base": "unchanged",
    "pi4": "PI(factor=4)",
    "yarn4": "YaRN(factor=4)",
    "yarn8": "YaRN(factor=8), from that",
}


def _table2_claims(trained: int) -> list[Claim]:
    near, far = 4 * trained, 8 * trained
    return [
        Claim("extended by 4, the model is more than twice as perplexed at twice its window as within it",
              below(("yarn4", near), ("yarn4", far), times=2.0)),
        Claim("extended by 8 from it on texts of half that window, the model goes on falling to its end (train short, "
              "test long)", below(("yarn8", far), ("yarn8", near))),
        Claim("there the one extended by 8 is below the one extended by 4", below(("yarn8", far), ("yarn4", far))),
        Claim("within the smaller window the one extended by 8 loses at most 3 %",
              below(("yarn8", near), ("yarn4", near), times=1 / 1.03)),
        Claim("PI is more perplexed at twice its window than YaRN", below(("yarn4", far), ("pi4", far))),
    ]  # fmt: skip


def table2_section(root: Path) -> Section:
    found = read_extended(root)
    trained, values = found.trained, found.last()
    wanted = [int(times * trained) for times in (0.5, 1, 2, 4, 6, 8)]
    marks = ((4 * trained, "window of the first"), (8 * trained, "window of the second"))
    return Section(
        "Far beyond the trained length (YaRN, table 2)",
        "Does a model extended by 4 break at its window, and does one extended by 8 hold without having seen that far?",
        judged(_table2_claims(trained), values),
        [
            grid.table("Ours", values, _TABLE2_ARMS, wanted, note=found.note()),
            grid.printed("As printed", _TABLE2_PRINTED, _TABLE2_SOURCE),
            grid.chart("Perplexity by length", values, _TABLE2_ARMS, x="length of the text, tokens",
                       y="perplexity per token", marks=marks, note=found.note()),
        ],
    )  # fmt: skip


TABLES = {"yarn1": table1_section, "yarn2": table2_section}
