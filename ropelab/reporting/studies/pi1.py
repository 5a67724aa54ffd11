"""Tables 1 and 2 of PI: perplexity by length after fine-tuning directly and by PI."""

from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, below, judged
from ropelab.reporting.page import Section
from ropelab.reporting.studies.extended import extended

PAPER = """
Llama 7B, PG-19 | 2048 | 4096 | 8192 | 16384 | 32768
unchanged | 7.20 | >10^3 | >10^3 | >10^3 | >10^3
directly, 8192 | 7.21 | 7.34 | 7.69 | |
PI, 8192 | 7.13 | 6.96 | 6.95 | |
PI, 16384 | 7.11 | 6.93 | 6.82 | 6.83 |
PI, 32768 | 7.23 | 7.04 | 6.91 | 6.80 | 6.77
"""
SECOND = """
Llama 7B, Proof-pile | 2048 | 4096 | 8192 | 16384 | 32768
unchanged | 2.77 | >10^3 | >10^3 | >10^3 | >10^3
directly, 8192 | 2.85 | 2.74 | 2.73 | |
PI, 8192 | 2.79 | 2.57 | 2.39 | |
PI, 16384 | 2.79 | 2.57 | 2.37 | 2.25 |
PI, 32768 | 2.82 | 2.59 | 2.39 | 2.24 | 2.48
"""
SOURCE = "Chen et al., arXiv 2306.15595, tables 1 and 2: windows that move by 256 tokens."
ARMS = {"base": "unchanged", "direct2": "directly, to twice", "pi2": "PI, to twice", "pi4": "PI, to four times"}


def claims(trained: int) -> list[Claim]:
    return [
        Claim("the unchanged model is more perplexed at twice its trained length than at it, by half at least",
              below(("base", trained), ("base", 2 * trained), times=1.5)),
        Claim("PI at twice the trained length is below the unchanged model at the trained length",
              below(("pi2", 2 * trained), ("base", trained))),
        Claim("PI at four times is below the unchanged model at the trained length",
              below(("pi4", 4 * trained), ("base", trained))),
        Claim("fine-tuned directly the model stays above PI at twice the trained length",
              below(("pi2", 2 * trained), ("direct2", 2 * trained))),
        Claim("PI loses at most 3 % at the trained length",
              below(("pi2", trained), ("base", trained), times=1 / 1.03)),
        Claim("PI gains from the longer text: lower at twice the trained length than at it",
              below(("pi2", 2 * trained), ("pi2", trained))),
    ]  # fmt: skip


def section(root: Path) -> Section:
    found = extended(root)
    trained, values = found.trained, found.last()
    wanted = [int(times * trained) for times in (0.5, 1, 2, 4)]
    return Section(
        "Position Interpolation (PI, tables 1 and 2)",
        "After a short fine-tuning, is the model better at longer texts, and is direct fine-tuning not?",
        judged(claims(trained), values),
        [
            grid.table("Ours", values, ARMS, wanted, note=found.note()),
            grid.printed("As printed, table 1", PAPER, SOURCE),
            grid.printed("As printed, table 2", SECOND, f"{SOURCE} At 32768 the longest extension gets worse again."),
        ],
    )
