"""LongNet (arXiv 2307.02486): its table 2 and its runtime figure."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ropelab.evaluation.record import Record
from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, Missing, One, below, judged, plain
from ropelab.reporting.page import Section
from ropelab.reporting.readings import Readings, as_perplexity, columns, last_step, read, steps_of, trainings
from ropelab.reporting.run_files import read_records

_FAMILY, _BLOCKED = "longnet", " blocked"
_PRINTED = """
model | trained on, batch | 2K | 8K | 32K
Transformer | 2K, 256 | 4.24 | 5.07 | 11.29
Sparse Transformer | 8K, 64 | 4.39 | 3.35 | 8.79
LongNet | 8K, 64 | 4.23 | 3.24 | 3.36
Sparse Transformer | 16K, 32 | 4.85 | 3.73 | 19.77
LongNet | 16K, 32 | 4.27 | 3.26 | 3.31
Sparse Transformer | 32K, 16 | 5.15 | 4.00 | 3.64
LongNet | 32K, 16 | 4.37 | 3.33 | 3.01
"""
_SOURCE = "Ding et al., arXiv 2307.02486, table 2: GitHub, blockwise causal attention beyond the trained length."
_NAMES = {"dense": "Transformer", "local": "local window", "sparse": "Sparse Transformer", "dilated": "LongNet"}
_ARM = re.compile(r"([a-z]+)(\d+)")


def _read_perplexity(records: Sequence[Record]) -> Readings:
    """By length, each arm under its own pattern, and under blockwise causal attention of its trained length."""
    return read(
        records,
        value=as_perplexity,
        variant=lambda r: r.variant + (_BLOCKED if r.pattern.startswith("BlockwiseCausal") else ""),
    )


def _label(arm: str) -> str:
    own, blocked = arm.removesuffix(_BLOCKED), arm.endswith(_BLOCKED)
    found = _ARM.fullmatch(own)
    name = f"{_NAMES.get(found[1], found[1])}, trained on {found[2]}" if found else own
    return f"{name}, blockwise causal" if blocked else name


def _sort_key(arm: str) -> tuple[bool, int, str]:
    """Where an arm stands in the table: own patterns first, in the order of `NAMES`."""
    found = _ARM.match(arm)
    order = [*_NAMES].index(found[1]) if found and found[1] in _NAMES else len(_NAMES)
    return arm.endswith(_BLOCKED), order, arm


def _trained_lengths(found: Readings) -> list[int]:
    return sorted({int(m[2]) for arm in found if (m := _ARM.fullmatch(arm))})


def _perplexity_claims(found: Readings) -> list[Claim]:
    made = []
    for n in _trained_lengths(found):
        dense, sparse, dilated, local = (f"{name}{n}" for name in ("dense", "sparse", "dilated", "local"))
        made += [
            Claim(f"trained on {n}, LongNet is below the Sparse Transformer at that length",
                  below((dilated, n), (sparse, n))),
            Claim(f"trained on {n}, LongNet is within 3 % of full attention at that length",
                  below((dilated, n), (dense, n), times=1 / 1.03)),
            Claim(f"trained on {n}, LongNet is below a local window at that length (no arm of the paper's, but what "
                  "its claim comes to)", below((dilated, n), (local, n))),
        ]  # fmt: skip
    shortest, longest = (_trained_lengths(found) or [0])[0], max(columns(found), key=str, default=0)
    longest = max((c for c in columns(found) if isinstance(c, int)), default=longest)
    far = (
        f"the Transformer trained on {shortest} is more perplexed at {longest} than at {shortest}, by a tenth at least"
    )
    made.append(Claim(far, below((f"dense{shortest}", shortest), (f"dense{shortest}", longest), times=1.1)))
    longer = _trained_lengths(found)[1:]
    made.append(
        Claim("LongNet gains from training on longer texts", below(
            (f"dilated{longer[-1] if longer else 'longer'}", longest), (f"dilated{shortest}", longest)))
    )  # fmt: skip
    return made


def perplexity_section(root: Path) -> Section:
    rows = last_step(trainings(root, _FAMILY))
    found = _read_perplexity(rows)
    labels = {arm: _label(arm) for arm in sorted(found, key=_sort_key)}
    own = {arm: text for arm, text in labels.items() if not arm.endswith(_BLOCKED)}
    note = (
        f"Trained for {steps_of(rows)}; perplexity per byte of held-out text in windows that do not "
        "overlap. Mean over seeds ± the half-width of the 95 % t interval. A local window has no way to use more than "
        "its width and is there to say how much distance matters."
    )
    return Section(
        "Dilated attention (LongNet, table 2)",
        "Does dilated attention lose less than fixed sparse attention, and what does a longer text give?",
        judged(_perplexity_claims(found), found),
        [
            grid.table("Ours", found, labels, columns(found), note=note),
            grid.printed("As printed", _PRINTED, _SOURCE),
            grid.chart("Perplexity by length, own pattern", found, own, x="length of the text, bytes",
                       y="perplexity per byte", note=note),
        ],
    )  # fmt: skip


# The runtime figure of LongNet: how time grows with the text, for dilated and for full attention.

_RUNTIME_ARMS = {"dense": "full attention", "dilated": "dilated"}


def _slope(one: One, arm: str) -> float:
    """Of the logarithm of seconds over that of tokens, at the three longest texts."""
    lengths = [c for c in one.columns(arm) if isinstance(c, int)][-3:]
    if len(lengths) < 3:
        raise Missing(arm)
    return float(np.polyfit(np.log(lengths), [math.log(one(arm, n)) for n in lengths], 1)[0])


def _near(arm: str, wanted: float, off: float) -> Claim:
    def margin(one: One) -> float:
        return off - abs(_slope(one, arm) - wanted)

    name = _RUNTIME_ARMS[arm]
    text = f"the time of {name} grows with the power {wanted:g} ± {off} of the length, over the three longest"
    return Claim(text, margin, lambda m: f"off by {off - m:.2f}")


def _speedup(one: One) -> float:
    longest = max(c for c in one.columns("dense") if isinstance(c, int))
    return math.log(one("dense", longest) / one("dilated", longest))


_RUNTIME_CLAIMS = [
    _near("dilated", 1.0, 0.2),
    _near("dense", 2.0, 0.3),
    Claim("at the longest text that both were given, dilated attention is faster", _speedup,
          lambda m: f"{math.exp(m):.1f} times" if m > 0 else plain(m)),
]  # fmt: skip


def runtime_section(root: Path) -> Section:
    rows = [r for r in read_records(root / "runtime" / "records.jsonl", root) if r.metric == "seconds"]
    found = read(rows)
    note = f"Seconds. {rows[0].protocol.line()}." if rows else ""
    return Section(
        "The time of dilated attention (LongNet, runtime figure)",
        "Does dilated attention cost time in proportion to the text?",
        judged(_RUNTIME_CLAIMS, found),
        [
            grid.table("Ours, seconds", found, _RUNTIME_ARMS, columns(found), note=note),
            grid.chart("Seconds by length", found, _RUNTIME_ARMS, x="tokens", y="seconds", note=note),
        ],
    )


TABLES = {"longnet": perplexity_section, "runtime": runtime_section}
