"""How much of ALiBi's gain beyond the trained length is the early tokens' curse of windows that do not overlap."""

from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, One, below, judged
from ropelab.reporting.numbers import log_ratio, perplexity
from ropelab.reporting.page import Section
from ropelab.reporting.readings import Readings, columns, lines, read, setting_of

PAPER = """
trained on 1024 | 1024 | 2024 | 16024
sinusoidal | 19.34 | 51.09 | 453.32
rotary | 19.33 | 31.17 | 106.99
ALiBi | 18.66 | 18.05 | 17.98
"""
SOURCE = "Press et al., arXiv 2108.12409, table 3: windows that do not overlap."
ARMS = {
    "alibi, apart": "ALiBi, no overlap",
    "alibi, sliding": "ALiBi, sliding",
    "sinusoidal, apart": "sinusoidal, no overlap",
    "sinusoidal, sliding": "sinusoidal, sliding",
}


def readings(root: Path) -> Readings:
    found: Readings = {}
    for way in ("apart", "sliding"):
        rows = [r for r in lines(root / "overlap" / way / "records.jsonl", root) if r["eval"] == "perplexity.nll"]
        found |= read(
            rows,
            lambda row: row["length"],
            value=lambda row: perplexity(row["value"]),
            arm=lambda row, way=way: f"{row['arm']}, {way}",
        )
    return found


def gain(one: One, arm: str, trained: int) -> float:
    """The logarithm of how much lower the perplexity is at eight times the trained length."""
    return log_ratio(one(arm, trained), one(arm, 8 * trained))


def claims(trained: int) -> list[Claim]:
    far = 8 * trained
    return [
        Claim("without overlap ALiBi at eight times is no worse than at the trained length",
              below(("alibi, apart", far), ("alibi, apart", trained))),
        Claim("when windows slide, ALiBi gains less from longer ones",
              lambda one: gain(one, "alibi, apart", trained) - gain(one, "alibi, sliding", trained)),
        Claim("sliding windows are below windows that do not overlap, at the trained length",
              below(("alibi, sliding", trained), ("alibi, apart", trained))),
        Claim("either way the sinusoidal Transformer is more perplexed at eight times than at the trained length",
              lambda one: min(-gain(one, f"sinusoidal, {way}", trained) for way in ("apart", "sliding"))),
    ]  # fmt: skip


def section(root: Path) -> Section:
    found, trained = readings(root), int(setting_of(root, "lex", "length") or 0)
    rows = lines(root / "overlap" / "sliding" / "records.jsonl", root)
    note = f"Trained on {trained} bytes. {rows[0]['protocol']}; and the same texts without overlap." if rows else ""
    return Section(
        "ALiBi and the overlap of windows",
        "Is the gain that ALiBi shows at longer texts a better use of them, or fewer tokens without context?",
        judged(claims(trained), found),
        [
            grid.table("Ours", found, ARMS, columns(found), note=note),
            grid.printed("As printed", PAPER, SOURCE),
            grid.chart("Perplexity by window", found, ARMS, x="length of the window, bytes", y="perplexity per byte",
                       dashed=("alibi, sliding", "sinusoidal, sliding"), note=note),
        ],
    )  # fmt: skip
