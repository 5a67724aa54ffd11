"""A page such as trainings leave behind: two things asked, every kind of part, numbers with their records."""

import math
from typing import Any

from ropelab.reporting.page import Cell, Chart, Facts, Heat, Page, Point, Section, Series, Table, Verdict, number

LENGTHS = (256, 512, 1024, 2048, 4096)
PERPLEXITY = {  # arm → by length; the lowest of a column is the best
    "Sinusoidal()": (3.962, 3.731, 5.182, 9.441, 21.37),
    "RoPE(base=10000.0)": (3.821, 3.604, 4.277, 6.913, 11.82),
    "RoPE(base=10000.0) + BlockwiseCausal(block=512)": (3.822, 3.607, 3.588, 3.571, 3.566),
    "ALiBi()": (3.803, 3.611, 3.554, 3.541, 3.539),
    "XPos(base=10000.0, gamma=0.4, scale_base=512)": (3.809, 3.598, 3.912, 5.127, 7.743),
    "XPos(base=10000.0, gamma=0.4, scale_base=512) + BlockwiseCausal(block=512)": (3.811, 3.601, 3.549, 3.521, 3.508),
}
WITHOUT_RUN = "T5Bias(buckets=32)"
DEPTHS = ("0.00", "0.25", "0.50", "0.75", "1.00")
LONG_ROPE = "LongRoPE(factor=16.0, original_length=8192, short=({0}), long=({0}))".format(
    ", ".join(f"{1 + 0.37 * i:.2f}" for i in range(64))
)


def cell(arm: int, column: int, value: float) -> Cell:
    best = value == min(values[column] for values in PERPLEXITY.values())
    records = [f"lex/arm{arm}-{seed}/evaluations.jsonl:{21 + column}" for seed in range(3)]
    return Cell(f"{value:.3f}", value, half=0.004 * value**1.5, best=best, sources=records)


def table() -> Table:
    rows = [
        [Cell(f"`{arm}`"), *(cell(index, column, value) for column, value in enumerate(values))]
        for index, (arm, values) in enumerate(PERPLEXITY.items())
    ]
    paper = [Cell("LEX, in the paper"), *(Cell(f"{v:.2f}", v) for v in (2.01, 1.98, 1.94, 1.91)), Cell("–")]
    head = ["arm", *(f"{length} tokens" for length in LENGTHS)]
    note = "Perplexity per byte, mean of 3 seeds with Student's 95 % interval. The last row is of the paper, per token."
    return Table("Perplexity by length", head, [*rows, paper], note)


def bands() -> Chart:
    series = [
        Series(arm, [Point(n, y, y * 0.97, y * 1.04) for n, y in zip(LENGTHS, ys, strict=True)], "Blockwise" in arm)
        for arm, ys in PERPLEXITY.items()
    ]
    marks = [(512, "trained on 512")]
    return Chart(
        "Perplexity against length", "length (tokens)", "perplexity", series, True, True, marks, "Bands: seeds."
    )


def positions() -> Chart:
    """Six hundred points a line up to 16384 tokens, one of which breaks down after 8192."""
    xs = [13.7 + 27.3 * i for i in range(600)]

    def line(base: float, beyond: float, phase: float) -> list[Point]:
        wave = [0.03 * math.sin(x / 170 + phase) + 0.02 * math.sin(x / 37) for x in xs]
        fall = [math.log(base) + 0.5 / (1 + x / 300) + max(x - 8192, 0) / 8192 * beyond for x in xs]
        return [Point(x, math.exp(f + w)) for x, f, w in zip(xs, fall, wave, strict=True)]

    series = [
        Series("unchanged", line(11, 5.5, 0)),
        Series("unchanged, chopped at 8192", line(11, 0.02, 0), dashed=True),
        Series("PI(factor=2.0)", line(29, -0.02, 1)),
        Series("YaRN(factor=2.0, original_length=8192)", line(10.6, -0.1, 2)),
    ]
    note = "SmolLM2-135M, 1 window of 16384 tokens of the Python language reference, means of 27 tokens."
    marks = [(8192, "trained on 8192")]
    return Chart("Perplexity by position", "position (tokens)", "perplexity", series, False, True, marks, note)


def heat() -> Heat:
    values = [[round(1 / (1 + math.exp(j - 2.2 - abs(i - 2) / 2)), 2) for j in range(5)] for i in range(5)]
    cells: list[list[float | None]] = [[*row] for row in values]
    cells[2][4] = None
    note = "Share of 40 passkeys found. Depth 0 is the beginning of the text."
    columns = [str(n) for n in LENGTHS]
    return Heat("Passkeys by depth and length", "depth", "length (tokens)", DEPTHS, columns, cells, note)


def retrieval() -> Table:
    rows = [
        [Cell("unchanged"), share(38, 7), Cell("done")],
        [Cell("`YaRN(factor=2.0, original_length=8192)`"), share(40, 8), Cell("done")],
        [Cell(f"`{WITHOUT_RUN}`"), Cell("–"), Cell("not run")],
    ]
    return Table("Passkeys found", ["arm", "share", "state"], rows, "Wilson's 95 % interval.")


def share(found: int, line: int) -> Cell:
    return Cell(number(found / 40, 3), found / 40, 0.05, found == 40, [f"passkey/evaluations.jsonl:{line}"])


def page() -> Page:
    lex = Section(
        "Length extrapolation (LEX)",
        "Does xPos with blockwise causal attention fall beyond its trained length, as the paper's table says?",
        [
            Verdict("LEX falls with every doubling", "reproduced", (3, 3), "0.013 ± 0.004 nats a doubling at least"),
            Verdict("RoPE alone rises beyond its trained length", "reproduced", (3, 3), "1.19 ± 0.06 nats at 4096"),
            Verdict("ALiBi is worse than LEX at 512 tokens", "not reproduced", (1, 3), "−0.003 ± 0.009 nats"),
        ],
        [table(), bands()],
    )
    smollm2 = Section(
        "SmolLM2 beyond 8192 tokens",
        "What do rotary scalings do to a pretrained model on twice its trained length, without fine-tuning?",
        [
            Verdict("YaRN keeps perplexity flat", "reproduced", (1, 1), "0.4 nats below the unchanged model"),
            Verdict(
                "LongRoPE reaches 2048k tokens",
                "not testable at this size",
                why="it needs a model of 7B and 2 million tokens",
            ),
        ],
        [
            positions(),
            heat(),
            retrieval(),
            Facts("Receipts", [("unchanged", "`RoPE(base=100000.0)`, 16 of 32"), ("LongRoPE", f"`{LONG_ROPE}`")]),
            Facts("What differs", [("encoding", "6 values"), ("pattern", "`Causal()`, `BlockwiseCausal(block=512)`")]),
        ],
    )
    facts = [
        Facts("Environment", [("jax", "0.7.2 on 2 CPU cores"), ("python", "3.11.7"), ("commit", "`14aaba1`")]),
        Facts("Again", [("all of it", "`python -m experiments.report --workdir=lex`"), ("steps", "train\nevaluate")]),
    ]
    return Page("ropelab: what was asked, and what came of it", [lex, smollm2], facts)


HOSTILE = "<script>alert(1)</script>\" onload='x' | `a|b` **b** [c](javascript:d) </style> &amp; ]]> _e_ $f$"


def hostile(value: Any = None) -> Any:
    """The same page with every text replaced by what breaks out of a renderer that does not escape."""
    if value is None:
        return hostile(page())
    if isinstance(value, Verdict):
        return Verdict(HOSTILE, value.word, value.seeds, HOSTILE, HOSTILE)
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(part if part is None else hostile(part) for part in value))
    return [part if part is None else hostile(part) for part in value] if isinstance(value, list | tuple) else value
