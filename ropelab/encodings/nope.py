"""No positional encoding: the scores are q . k / sqrt(H), and order enters through the pattern alone.

Source: Kazemnejad et al., "The Impact of Positional Encoding on Length Generalization", arXiv 2305.19466.
"""

from ropelab.encodings.base import Encoding
from ropelab.spec import spec

__all__ = ["NoPE"]


@spec
class NoPE(Encoding):
    """s_ij = q_i . k_j / sqrt(H)."""

    @property
    def fractional_positions(self) -> bool:
        return True
