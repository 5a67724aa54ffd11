"""Attention resolution: how well scores tell distances apart, within the trained length and beyond it."""

from pathlib import Path

import numpy as np

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, One, below, judged
from ropelab.reporting.page import Chart, Point, Section, Series
from ropelab.reporting.readings import Number, Readings, Row, arm_and_seed, columns, lines, read, setting_of
from ropelab.reporting.schema import read_arrays

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
DRAWN = ("rope", "xpos", "alibi")
ROUGH = "second differences"
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
    rough = "RoPE's scores oscillate more with distance than xPos's (deviation of their second differences)"
    return [*found, Claim(rough, below(("xpos", ROUGH), ("rope", ROUGH)))]


def of(root: Path, name: str) -> Readings:
    def longest(row: Row) -> bool:
        return row["eval"] == name and row["value"] is not None

    rows = filter(longest, lines(root / FAMILY / "resolution.jsonl", root))
    return read(rows, lambda row: row["length"], value=lambda row: row["value"])


def curves(root: Path) -> dict[str, dict[int, np.ndarray]]:
    """Arm → seed → the mean score at each distance, at the longest length."""
    path, found = root / FAMILY / "resolution.npz", {}
    if path.is_file():
        for name, values in read_arrays(path).items():
            if not name.endswith(".expected"):
                arm, seed = arm_and_seed(name)
                found.setdefault(arm, {})[seed] = values.astype(np.float64)
    return found


def roughness(found: dict[str, dict[int, np.ndarray]]) -> Readings:
    """The standard deviation of the second differences of every curve."""
    where = (f"{FAMILY}/resolution.npz",)
    return {
        arm: {ROUGH: {seed: Number(float(np.diff(s_n, 2).std()), where) for seed, s_n in of_arm.items()}}
        for arm, of_arm in found.items()
    }


def scores(found: dict[str, dict[int, np.ndarray]]) -> tuple[Chart, ...]:
    """Mean score by distance, the band between the lowest and the highest seed."""
    drawn = {arm: np.stack([*found[arm].values()], axis=1) for arm in DRAWN if arm in found}
    series = [
        Series(ARMS[arm], [Point(n, float(s.mean()), float(s.min()), float(s.max())) for n, s in enumerate(s_nS)])
        for arm, s_nS in drawn.items()
    ]
    note = "At the longest length; mean over texts, layers and heads, keys among the first tokens left out."
    chart = Chart("Mean score by distance", "distance, tokens", "mean scaled score", series, note=note)
    return (chart,) if series else ()


def section(root: Path) -> Section:
    found, expected = of(root, "resolution"), of(root, "resolution.expected")
    trained = int(setting_of(root, FAMILY, "length") or 0)
    rows, measured = lines(root / FAMILY / "resolution.jsonl", root), curves(root)
    lengths = columns(found)
    for arm, rough in roughness(measured).items():
        found.setdefault(arm, {}).update(rough)
    note = f"{SOURCE}. {rows[0]['protocol']}." if rows else ""
    return Section(
        "Attention resolution",
        "Do the scores of a trained model still tell distances apart beyond its trained length?",
        judged(claims(trained), found),
        [
            grid.table("R of the mean score", found, ARMS, lengths, best=max, note=note),
            grid.table("R of the expected score, q = k = 1", expected, ARMS, columns(expected), best=max,
                       note="No model: what the encoding alone does to vectors of ones."),
            grid.chart("Resolution by length", found, ARMS, x="length of the text, tokens", y="R", note=note,
                       marks=((trained, f"trained on {trained}"),)),
            *scores(measured),
        ],
    )  # fmt: skip
