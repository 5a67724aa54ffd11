"""Patterns as counts, kernels that evaluate the one formula, and `attend`, which joins them."""

from ropelab.attention.api import attend, attend_sharded
from ropelab.attention.exchanges import AllGather, Ring, SparseGather
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
    "AllGather",
    "Bidirectional",
    "BlockwiseCausal",
    "Causal",
    "Dilated",
    "FixedSparse",
    "Grouped",
    "LambdaMask",
    "Pattern",
    "Ring",
    "ShiftedSparse",
    "Sinks",
    "SlidingWindow",
    "SparseGather",
    "attend",
    "attend_sharded",
    "parse",
]
