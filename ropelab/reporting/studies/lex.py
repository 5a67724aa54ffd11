"""Table 2 of LEX: perplexity within the trained length and beyond it, by encoding."""

from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, below, falling, judged
from ropelab.reporting.page import Section
from ropelab.reporting.readings import Row, columns, read, setting_of, steps_of, trainings

FAMILY, CAUSAL = "lex", "Causal()"
PAPER = """
trained on 1024 | 256 | 512 | 1024 | 2048 | 4096
Transformer | 46.34 | 36.39 | 29.94 | 132.63 | 1283.79
Alibi | 37.66 | 29.92 | 24.99 | 23.14 | 24.26
Roformer | 38.09 | 30.38 | 25.52 | 73.6 | 294.45
LEX | 34.3 | 27.55 | 23.31 | 21.6 | 20.73
"""
SOURCE = "Sun et al., arXiv 2212.10554, table 2."
ARMS = {
    "sinusoidal": "sinusoidal (Transformer)",
    "nope": "NoPE",
    "rope": "RoPE (Roformer)",
    "alibi": "ALiBi",
    "xpos": "xPos",
    "sinusoidal blocked": "sinusoidal, blockwise causal",
    "nope blocked": "NoPE, blockwise causal",
    "rope blocked": "RoPE, blockwise causal",
    "alibi blocked": "ALiBi, blockwise causal",
    "xpos blocked": "xPos, blockwise causal (LEX)",
}
LEX = "xpos blocked"


def arm(row: Row) -> str:
    return row["arm"] if row["pattern"] == CAUSAL else f"{row['arm']} blocked"


def claims(trained: int) -> list[Claim]:
    """The order beyond the trained length, and what is said of each of its ends."""
    beyond = [
        Claim(f"at {times} times the trained length {low[1]} is below {high[1]}", below((low[0], n), (high[0], n)))
        for times in (2, 4)
        for n in [times * trained]
        for low, high in (
            (("rope", "RoPE"), ("sinusoidal", "the sinusoidal Transformer")),
            (("alibi", "ALiBi"), ("rope", "RoPE")),
            ((LEX, "LEX"), ("alibi", "ALiBi")),
        )
    ]
    return [
        *beyond,
        Claim("LEX falls with every doubling of the text beyond the trained length", falling(LEX, trained)),
        Claim(
            "the sinusoidal Transformer at four times is more than five times as perplexed as at the trained length",
            below(("sinusoidal", trained), ("sinusoidal", 4 * trained), times=5.0),
        ),
        Claim(
            "what it takes is xPos: at four times LEX is below RoPE under the same blockwise causal attention, an arm "
            "that the paper does not print",
            below((LEX, 4 * trained), ("rope blocked", 4 * trained)),
        ),
        Claim("at the trained length ALiBi is below RoPE", below(("alibi", trained), ("rope", trained))),
        Claim("at the trained length LEX is below all others, RoPE next", below((LEX, trained), ("rope", trained))),
    ]


def section(root: Path) -> Section:
    rows = [row for row in trainings(root, FAMILY) if row["last"]]
    found = read(rows, lambda row: row["length"], value=lambda row: row["perplexity"], arm=arm)
    trained = int(setting_of(root, FAMILY, "length") or 0)
    tokens = max((row["tokens"] for row in rows), default=0)
    note = (
        f"Trained on {trained} bytes a row, {steps_of(rows)}; perplexity per byte of {tokens} held-out bytes in "
        "windows that do not overlap, positions from 0 in each. Mean over seeds ± the half-width of the 95 % t "
        "interval."
    )
    marks = ((trained, f"trained on {trained}"),)
    blocked = [name for name in ARMS if name.endswith("blocked")]
    ordered = {
        name: ARMS[name] for one in ("sinusoidal", "nope", "rope", "alibi", "xpos") for name in (one, f"{one} blocked")
    }
    return Section(
        "Length extrapolation from scratch (LEX)",
        "Which encodings, trained on short texts, go on at longer ones, and what does blockwise causal attention do?",
        judged(claims(trained), found),
        [
            grid.table("Ours", found, ARMS, columns(found), note=note),
            grid.printed("As printed", PAPER, SOURCE),
            grid.chart("Perplexity by length", found, ordered, x="length of the text, bytes", y="perplexity per byte",
                       dashed=blocked, marks=marks, note=note),
        ],
    )  # fmt: skip
