"""The patterns there are, one idea a file, and the spec strings that mean them."""

from ropelab import spec
from ropelab.attention.formula import Pattern
from ropelab.attention.patterns import blockwise_causal, causal, dilated, fixed_sparse, shifted_sparse, windows
from ropelab.attention.patterns.blockwise_causal import BlockwiseCausal
from ropelab.attention.patterns.causal import Bidirectional, Causal
from ropelab.attention.patterns.dilated import Dilated
from ropelab.attention.patterns.fixed_sparse import FixedSparse
from ropelab.attention.patterns.shifted_sparse import Grouped, ShiftedSparse
from ropelab.attention.patterns.windows import LambdaMask, Sinks, SlidingWindow

__all__ = [
    "ALL",
    "CLASSES",
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
    "parse",
]

ALL: tuple[Pattern, ...] = (
    *causal.EXAMPLES,
    *windows.EXAMPLES,
    *blockwise_causal.EXAMPLES,
    *shifted_sparse.EXAMPLES,
    *dilated.EXAMPLES,
    *fixed_sparse.EXAMPLES,
)
CLASSES: dict[str, type[Pattern]] = {type(p).__name__: type(p) for p in ALL}


def parse(text: str) -> Pattern:
    """The pattern a spec string names: `parse(repr(p)) == p`.

    Raises:
        ValueError: for an unknown pattern or field, with the nearest right name, or a refused value.
    """
    return spec.parse(text, CLASSES, kind="pattern")
