"""Table 2 of YaRN: a model extended far, and one extended farther from it by training on the same lengths."""

from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, below, judged
from ropelab.reporting.page import Section
from ropelab.reporting.studies.extended import extended

PAPER = """
model | trained on | 8192 | 32768 | 65536 | 98304 | 131072
7B Together, PI | 32k | 3.50 | 2.64 | >10^2 | >10^3 | >10^4
7B Code Llama, NTK | 16k | 3.71 | 2.74 | 2.55 | 2.54 | 2.71
7B YaRN, s = 16 | 64k | 3.51 | 2.65 | 2.42 | >10^1 | >10^1
7B YaRN, s = 32 | 64k | 3.56 | 2.70 | 2.45 | 2.36 | 2.37
13B Code Llama, NTK | 16k | 3.54 | 2.63 | 2.41 | 2.37 | 2.54
13B YaRN, s = 16 | 64k | 3.25 | 2.50 | 2.29 | >10^1 | >10^1
13B YaRN, s = 32 | 64k | 3.29 | 2.53 | 2.31 | 2.23 | 2.24
"""
SOURCE = "Peng et al., arXiv 2309.00071, table 2: Proof-pile, windows of 256 new tokens."
ARMS = {"base": "unchanged", "pi4": "PI(factor=4)", "yarn4": "YaRN(factor=4)", "yarn8": "YaRN(factor=8), from that"}


def claims(trained: int) -> list[Claim]:
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


def section(root: Path) -> Section:
    found = extended(root)
    trained, values = found.trained, found.last()
    wanted = [int(times * trained) for times in (0.5, 1, 2, 4, 6, 8)]
    marks = ((4 * trained, "window of the first"), (8 * trained, "window of the second"))
    return Section(
        "Far beyond the trained length (YaRN, table 2)",
        "Does a model extended by 4 break at its window, and does one extended by 8 hold without having seen that far?",
        judged(claims(trained), values),
        [
            grid.table("Ours", values, ARMS, wanted, note=found.note()),
            grid.printed("As printed", PAPER, SOURCE),
            grid.chart("Perplexity by length", values, ARMS, x="length of the text, tokens", y="perplexity per token",
                       marks=marks, note=found.note()),
        ],
    )  # fmt: skip
