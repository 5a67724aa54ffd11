"""Table 2 of LongNet: dilated attention beside the Sparse Transformer's, a local window and full attention."""

import re
from collections.abc import Sequence
from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, below, judged
from ropelab.reporting.page import Section
from ropelab.reporting.readings import Readings, Row, columns, read, steps_of, trainings

FAMILY, BLOCKED = "longnet", " blocked"
PAPER = """
model | trained on, batch | 2K | 8K | 32K
Transformer | 2K, 256 | 4.24 | 5.07 | 11.29
Sparse Transformer | 8K, 64 | 4.39 | 3.35 | 8.79
LongNet | 8K, 64 | 4.23 | 3.24 | 3.36
Sparse Transformer | 16K, 32 | 4.85 | 3.73 | 19.77
LongNet | 16K, 32 | 4.27 | 3.26 | 3.31
Sparse Transformer | 32K, 16 | 5.15 | 4.00 | 3.64
LongNet | 32K, 16 | 4.37 | 3.33 | 3.01
"""
SOURCE = "Ding et al., arXiv 2307.02486, table 2: GitHub, blockwise causal attention beyond the trained length."
NAMES = {"dense": "Transformer", "local": "local window", "sparse": "Sparse Transformer", "dilated": "LongNet"}
ARM = re.compile(r"([a-z]+)(\d+)")


def readings(rows: Sequence[Row]) -> Readings:
    """By length, each arm under its own pattern, and under blockwise causal attention of its trained length."""
    return read(
        rows,
        lambda row: row["length"],
        value=lambda row: row["perplexity"],
        arm=lambda row: row["arm"] + (BLOCKED if row["pattern"].startswith("BlockwiseCausal") else ""),
    )


def label(arm: str) -> str:
    own, blocked = arm.removesuffix(BLOCKED), arm.endswith(BLOCKED)
    found = ARM.fullmatch(own)
    name = f"{NAMES.get(found[1], found[1])}, trained on {found[2]}" if found else own
    return f"{name}, blockwise causal" if blocked else name


def place(arm: str) -> tuple[bool, int, str]:
    """Where an arm stands in the table: own patterns first, in the order of `NAMES`."""
    found = ARM.match(arm)
    order = [*NAMES].index(found[1]) if found and found[1] in NAMES else len(NAMES)
    return arm.endswith(BLOCKED), order, arm


def trained_lengths(found: Readings) -> list[int]:
    return sorted({int(m[2]) for arm in found if (m := ARM.fullmatch(arm))})


def claims(found: Readings) -> list[Claim]:
    made = []
    for n in trained_lengths(found):
        dense, sparse, dilated, local = (f"{name}{n}" for name in ("dense", "sparse", "dilated", "local"))
        made += [
            Claim(f"trained on {n}, LongNet is below the Sparse Transformer at that length",
                  below((dilated, n), (sparse, n))),
            Claim(f"trained on {n}, LongNet is within 3 % of full attention at that length",
                  below((dilated, n), (dense, n), times=1 / 1.03)),
            Claim(f"trained on {n}, LongNet is below a local window at that length (no arm of the paper's, but what "
                  "its claim comes to)", below((dilated, n), (local, n))),
        ]  # fmt: skip
    shortest, longest = (trained_lengths(found) or [0])[0], max(columns(found), key=str, default=0)
    longest = max((c for c in columns(found) if isinstance(c, int)), default=longest)
    far = (
        f"the Transformer trained on {shortest} is more perplexed at {longest} than at {shortest}, by a tenth at least"
    )
    made.append(Claim(far, below((f"dense{shortest}", shortest), (f"dense{shortest}", longest), times=1.1)))
    longer = trained_lengths(found)[1:]
    made.append(
        Claim("LongNet gains from training on longer texts", below(
            (f"dilated{longer[-1] if longer else 'longer'}", longest), (f"dilated{shortest}", longest)))
    )  # fmt: skip
    return made


def section(root: Path) -> Section:
    rows = [row for row in trainings(root, FAMILY) if row["last"]]
    found = readings(rows)
    labels = {arm: label(arm) for arm in sorted(found, key=place)}
    own = {arm: text for arm, text in labels.items() if not arm.endswith(BLOCKED)}
    note = (
        f"Trained for {steps_of(rows)}; perplexity per byte of held-out text in windows that do not "
        "overlap. Mean over seeds ± the half-width of the 95 % t interval. A local window has no way to use more than "
        "its width and is there to say how much distance matters."
    )
    return Section(
        "Dilated attention (LongNet, table 2)",
        "Does dilated attention lose less than fixed sparse attention, and what does a longer text give?",
        judged(claims(found), found),
        [
            grid.table("Ours", found, labels, columns(found), note=note),
            grid.printed("As printed", PAPER, SOURCE),
            grid.chart("Perplexity by length, own pattern", found, own, x="length of the text, bytes",
                       y="perplexity per byte", note=note),
        ],
    )  # fmt: skip
