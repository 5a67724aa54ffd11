"""Blockwise causal attention: each half block of queries sees the half block before it and its own.

    h = block / 2,   (floor(i / h) - 1) h <= j <= i

Within a text of `block` tokens this is plain causal attention, which is how a model is trained; beyond, a query never
sees more than a block, so perplexity holds and retrieval of what lies further back does not (a layer reaches a block).

Source: LEX, Sun et al., arXiv 2212.10554, section 2.3, and its code, torchscale at 4ad9dfd, which pads a text longer
than a block to half blocks. Its incremental decoder keeps the last `block` keys beside the new one instead, which is
`SlidingWindow(window=block + 1)`; here decoding counts as the full forward does.
"""

from jax import Array

from ropelab.attention.formula import Interval
from ropelab.spec import at_least, require, spec


@spec
class BlockwiseCausal(Interval):
    """LEX's inference attention, for a model trained on `block` tokens."""

    block: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, self, "block")
        require(self.block % 2 == 0, self, f"block={self.block} must be even: queries are cut into half blocks")

    def first(self, q_pos: Array, head: Array, num_heads: int) -> Array:
        del head, num_heads
        half = self.block // 2
        return (q_pos // half - 1) * half


EXAMPLES = (BlockwiseCausal(block=8),)
