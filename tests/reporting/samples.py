"""Records of three variants at two lengths, as a swap makes them, with numbers one can add up in the head."""

import math
from typing import Any

from ropelab.evaluation.record import Protocol, Record
from ropelab.reporting.tables import BY_POSITION

VARIANTS = ("unchanged", "unchanged, chopped at 32", "YaRN(factor=2.0, original_length=32)")
PERPLEXITY = {  # variant → by length, first and last position
    VARIANTS[0]: {(24, None, None): 10.0, (80, None, None): 50000.0, (80, 0, 32): 10.0, (80, 32, 80): 99999.0},
    VARIANTS[1]: {(24, None, None): 10.0, (80, None, None): 13.0, (80, 0, 32): 11.5, (80, 32, 80): 14.0},
    VARIANTS[2]: {(24, None, None): 10.5, (80, None, None): 12.25, (80, 0, 32): 12.0, (80, 32, 80): 12.5},
}
LAST = {VARIANTS[0]: 123456.0, VARIANTS[1]: 15.0, VARIANTS[2]: 12.34567}
PROTOCOL = Protocol(method="model tiny; text noise; 1 window each of 24 and 80 tokens")


def record(variant: str, metric: str, length: int, value: float, **columns: Any) -> Record:
    window = 32 if "chopped" in variant else None
    same: dict[str, Any] = {"evaluation": BY_POSITION, "count": length, "window": window, "protocol": PROTOCOL}
    return Record(variant=variant, metric=metric, length=length, value=value, **same | columns)


def records() -> list[Record]:
    found = []
    for variant in VARIANTS:
        for (length, first, last), perplexity in PERPLEXITY[variant].items():
            found.append(record(variant, "nll", length, math.log(perplexity), first=first, last=last))
        found.append(record(variant, "nll_tail", 80, math.log(LAST[variant]), first=72, last=80))
        found.append(record(variant, "tokens_per_second", 80, 1234.5))
    return found


def receipts() -> dict[str, dict[str, Any]]:
    """What a receipt must have to be shown."""
    facts: dict[str, Any] = {
        "encoding": "RoPE(base=10000.0)",
        "inv_freq_first": 1.0,
        "inv_freq_last": 0.000316227766,
        "inv_freq_hash": "abcdef012345",
        "amplitude": 1.0,
        "dimensions_beyond_trained_length": 10,
        "max_logit_difference": 0.0,
        "first_position": None,
        "statement": "the model as loaded",
    }
    moved = {"max_logit_difference": 1.23456789, "first_position": 1, "statement": "differs from position 1 on"}
    return {VARIANTS[0]: facts, VARIANTS[2]: facts | {"encoding": VARIANTS[2]} | moved}
