"""The shape of a Llama, and how its attention is wired."""

from typing import NamedTuple

from ropelab.attention.pattern import Pattern
from ropelab.encodings.base import Encoding
from ropelab.encodings.specs import Spec, at_least, require, spec


@spec
class LlamaConfig(Spec):
    """Sizes of a Llama-architecture model: what its weights fix.

    Attributes:
        trained_length: tokens of context the weights were trained on; 0 if nobody knows.
        tied_head: the output projection is the embedding table.
        attention_bias, mlp_bias: projections carry biases.
    """

    vocabulary: int
    width: int
    layers: int
    heads: int
    key_heads: int
    head_dim: int
    feed_forward: int
    norm_eps: float
    trained_length: int
    tied_head: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "vocabulary", "width", "layers", "heads", "key_heads", "head_dim", "feed_forward")
        at_least(0, self, "norm_eps", "trained_length")
        require(
            self.heads % self.key_heads == 0,
            self,
            f"heads={self.heads} must be a multiple of key_heads={self.key_heads}",
        )


class Wiring(NamedTuple):
    """What may be plugged into any weights of a given shape: the static half of every compiled function."""

    config: LlamaConfig
    encoding: Encoding
    pattern: Pattern
    kernel: str = "auto"
