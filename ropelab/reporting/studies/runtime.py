"""The runtime figure of LongNet: how time grows with the text, for dilated and for full attention."""

import math
from pathlib import Path

import numpy as np

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, Missing, One, judged, plain
from ropelab.reporting.page import Section
from ropelab.reporting.readings import columns, lines, read

ARMS = {"dense": "full attention", "dilated": "dilated"}


def slope(one: One, arm: str) -> float:
    """Of the logarithm of seconds over that of tokens, at the three longest texts."""
    lengths = [c for c in one.columns(arm) if isinstance(c, int)][-3:]
    if len(lengths) < 3:
        raise Missing(arm)
    return float(np.polyfit(np.log(lengths), [math.log(one(arm, n)) for n in lengths], 1)[0])


def near(arm: str, wanted: float, off: float) -> Claim:
    def margin(one: One) -> float:
        return off - abs(slope(one, arm) - wanted)

    text = f"the time of {ARMS[arm]} grows with the power {wanted:g} ± {off} of the length, over the three longest"
    return Claim(text, margin, lambda m: f"off by {off - m:.2f}")


def both(one: One) -> float:
    longest = max(c for c in one.columns("dense") if isinstance(c, int))
    return math.log(one("dense", longest) / one("dilated", longest))


CLAIMS = [
    near("dilated", 1.0, 0.2),
    near("dense", 2.0, 0.3),
    Claim("at the longest text that both were given, dilated attention is faster", both,
          lambda m: f"{math.exp(m):.1f} times" if m > 0 else plain(m)),
]  # fmt: skip


def section(root: Path) -> Section:
    rows = [row for row in lines(root / "runtime" / "records.jsonl", root) if row["eval"] == "runtime.seconds"]
    found = read(rows, lambda row: row["length"], value=lambda row: row["value"])
    note = f"Seconds. {rows[0]['protocol']}." if rows else ""
    return Section(
        "The time of dilated attention (LongNet, runtime figure)",
        "Does dilated attention cost time in proportion to the text?",
        judged(CLAIMS, found),
        [
            grid.table("Ours, seconds", found, ARMS, columns(found), note=note),
            grid.chart("Seconds by length", found, ARMS, x="tokens", y="seconds", note=note),
        ],
    )
