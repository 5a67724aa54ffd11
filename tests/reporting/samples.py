"""Records of three arms at two lengths, as a study writes them, with numbers one can add up in the head."""

from typing import Any

ARMS = ("unchanged", "unchanged, chopped at 32", "YaRN(factor=2.0, original_length=32)")
PERPLEXITY = {  # arm → by length and band
    ARMS[0]: {(24, "all"): 10.0, (80, "all"): 50000.0, (80, "[0, 32)"): 10.0, (80, "[32, 80)"): 99999.0},
    ARMS[1]: {(24, "all"): 10.0, (80, "all"): 13.0, (80, "[0, 32)"): 11.5, (80, "[32, 80)"): 14.0},
    ARMS[2]: {(24, "all"): 10.5, (80, "all"): 12.25, (80, "[0, 32)"): 12.0, (80, "[32, 80)"): 12.5},
}
LAST = {ARMS[0]: 123456.0, ARMS[1]: 15.0, ARMS[2]: 12.34567}
NLL = {ARMS[0]: 10.8198, ARMS[1]: 2.5649, ARMS[2]: 2.5055}
PROTOCOL = "model tiny; text noise; 1 window(s) of 24, 80 tokens"


def records() -> list[dict[str, Any]]:
    rows = []
    for arm in ARMS:
        for (length, band), perplexity in (PERPLEXITY[arm] | {(80, "last 8"): LAST[arm]}).items():
            row = {"arm": arm, "length": length, "band": band, "nll": NLL[arm], "perplexity": perplexity}
            rows.append(row | {"tokens_per_second": 1234.5, "protocol": PROTOCOL})
    return rows


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
    return {ARMS[0]: facts, ARMS[2]: facts | {"encoding": ARMS[2]} | moved}
