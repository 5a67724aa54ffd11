"""How the attention of a model is wired."""

from typing import NamedTuple

from ropelab.attention.exchanges import Exchange
from ropelab.attention.formula import Pattern
from ropelab.encodings.base import Encoding
from ropelab.models.family import Config


class Wiring(NamedTuple):
    """What may be plugged into any weights of a given shape: the static half of every compiled function.

    Attributes:
        kernel: by name, or an exchange between the shards of a sequence.
        remat: what the backward pass computes again instead of remembering, a name in `remat.POLICIES`; None where
            there is no backward pass.
    """

    config: Config
    encoding: Encoding
    pattern: Pattern
    kernel: str | Exchange = "auto"
    remat: str | None = None
