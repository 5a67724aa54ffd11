"""Attention resolution: how well scores tell distances apart, within the trained length and beyond it."""

from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, One, judged
from ropelab.reporting.page import Section
from ropelab.reporting.readings import Readings, Row, columns, lines, read, setting_of

FAMILY, BLOCKED = "lex", " + BlockwiseCausal"
ARMS = {
    "xpos + BlockwiseCausal": "xPos, blockwise causal (LEX)",
    "xpos": "xPos",
    "rope + BlockwiseCausal": "RoPE, blockwise causal",
    "rope": "RoPE",
    "alibi + BlockwiseCausal": "ALiBi, blockwise causal",
    "alibi": "ALiBi",
    "nope": "NoPE",
    "sinusoidal": "sinusoidal",
}
SOURCE = "R of arXiv 2212.10554, equation of section 3; higher tells distances apart better"


def above(high: str, low: str, length: int) -> Claim:
    def margin(one: One) -> float:
        return one(high, length) - one(low, length)

    return Claim(f"in texts of {length} {ARMS[high]} has a higher resolution than {ARMS[low]}", margin, plain4)


def plain4(margin: float) -> str:
    return f"{margin:+.4f}"


def claims(trained: int) -> list[Claim]:
    found = []
    for length in (2 * trained, 4 * trained):
        found += [above(a, b, length) for a, b in (("xpos", "rope"), ("xpos", "alibi"), ("alibi", "rope"))]
        found += [above(f"{name}{BLOCKED}", name, length) for name in ("xpos", "rope")]
    return found


def of(root: Path, name: str) -> Readings:
    def longest(row: Row) -> bool:
        return row["eval"] == name and row["value"] is not None

    rows = filter(longest, lines(root / FAMILY / "resolution.jsonl", root))
    return read(rows, lambda row: row["length"], value=lambda row: row["value"])


def section(root: Path) -> Section:
    found, expected = of(root, "resolution"), of(root, "resolution.expected")
    trained = int(setting_of(root, FAMILY, "length") or 0)
    rows = lines(root / FAMILY / "resolution.jsonl", root)
    note = f"{SOURCE}. {rows[0]['protocol']}." if rows else ""
    return Section(
        "Attention resolution",
        "Do the scores of a trained model still tell distances apart beyond its trained length?",
        judged(claims(trained), found),
        [
            grid.table("R of the mean score", found, ARMS, columns(found), best=max, note=note),
            grid.table("R of the expected score, q = k = 1", expected, ARMS, columns(expected), best=max,
                       note="No model: what the encoding alone does to vectors of ones."),
            grid.chart("Resolution by length", found, ARMS, x="length of the text, tokens", y="R", note=note,
                       marks=((trained, f"trained on {trained}"),)),
        ],
    )  # fmt: skip
