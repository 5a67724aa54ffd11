"""Numbers of records, which may be non-finite: reading them, exp and log without exceptions, and text.

A run that diverges has a loss of nan or inf. It is one failed row of a table and must not stop the other rows.
"""

import math
from typing import Any

NON_FINITE = ("nan", "inf", "-inf")  # as records write what JSON has no number for
TEXT_FIELDS = frozenset(
    {"arm", "eval", "model", "variant", "pattern", "encoding", "kernel", "evaluation", "metric", "protocol"}
    | {"command", "name"}
)


def as_number(name: str, value: Any) -> Any:
    """The value of a record's field; the words that stand for non-finite numbers as floats."""
    return float(value) if value in NON_FINITE and name not in TEXT_FIELDS else value


def as_words(value: Any) -> Any:
    """A value for JSON, with words for the non-finite numbers in it."""
    if isinstance(value, dict):
        return {name: as_words(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_words(one) for one in value]
    return repr(float(value)) if isinstance(value, float) and not math.isfinite(value) else value


def perplexity(nll: float) -> float:
    """exp of a mean negative log likelihood; inf where that is more than a float holds."""
    try:
        return math.exp(nll)
    except OverflowError:
        return math.inf


def log_ratio(high: float, low: float) -> float:
    """log(high / low) of two measurements that are not negative; nan where neither is finite, or one is nan."""
    if math.isnan(high) or math.isnan(low) or not (math.isfinite(high) or math.isfinite(low)):
        return math.nan
    if not high or not low or math.isinf(high) or math.isinf(low):
        return math.nan if high == low else math.copysign(math.inf, high - low)
    return math.log(high / low)


def number(value: float, digits: int = 4) -> str:
    """Four significant digits, in thousands none after the point; "nan" and "∞" for what is not finite."""
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else "∞" if value > 0 else "−∞"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
