"""Patterns as counts, kernels that evaluate the one formula, and `attend`, which joins them."""

from ropelab.attention.dispatch import attend
from ropelab.attention.patterns import (
    ALL,
    Bidirectional,
    BlockwiseCausal,
    Causal,
    Dilated,
    FixedSparse,
    Grouped,
    LambdaMask,
    Pattern,
    ShiftedSparse,
    Sinks,
    SlidingWindow,
    parse,
)

__all__ = [
    "ALL",
    "Bidirectional",
    "BlockwiseCausal",
    "Causal",
    "Dilated",
    "FixedSparse",
    "Grouped",
    "LambdaMask",
    "Pattern",
    "ShiftedSparse",
    "Sinks",
    "SlidingWindow",
    "attend",
    "parse",
]
