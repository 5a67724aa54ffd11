"""Attention: patterns as counts, kernels that evaluate the formula, exchanges over devices, and `attend`."""

from ropelab.attention.api import attend, attend_sharded
from ropelab.attention.cross_batch import ExtendedKeys, extend_across_batch, extend_with_memory, split_windows
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
from ropelab.attention.traffic import count_received_bytes, estimate_forward_bytes

__all__ = [
    "ALL",
    "AllGather",
    "Bidirectional",
    "BlockwiseCausal",
    "Causal",
    "Dilated",
    "ExtendedKeys",
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
    "count_received_bytes",
    "estimate_forward_bytes",
    "extend_across_batch",
    "extend_with_memory",
    "parse",
    "split_windows",
]
