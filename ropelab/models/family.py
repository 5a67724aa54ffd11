"""What a family of models is to the code that all families share: its sizes, its parameters, the two ends of a layer.

    q, k, v = projections(x);   x ← finish_layer(x, attend(q, k, v))

Attention stands in the middle; the wiring decides on it, and no family sees encodings or patterns. The loops over
layers, the cache, decoding, the loss and an encoding's tables know a family by these functions alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from jax import Array

Layer = dict[str, Array]  # one layer's parameters
Tree = dict[str, Any]


class Family(NamedTuple):
    """The functions of a family, each with the family's own configuration as its first argument.

    Attributes:
        shapes: `(config) → tree`: of all parameters besides the embedding table and the head. Those under "layers"
            have a leading axis L.
        initial_leaf: `(key, name, shape, config, dtype) → leaf`: random values of the parameter of this name.
        projections: `(config, layer, x_BTD) → (q_BTNH, k_BTKH, v_BTKH)`, not yet encoded.
        finish_layer: `(config, layer, x_BTD, mixed_BTNH) → x_BTD`: the stream after the layer.
        last_norm: `(config, params, x_BTD) → x_BTD`: from which logits are one projection away.
    """

    shapes: Callable[[Any], Tree]
    initial_leaf: Callable[[Array, str, tuple[int, ...], Any, Any], Array]
    projections: Callable[[Any, Layer, Array], tuple[Array, Array, Array]]
    finish_layer: Callable[[Any, Layer, Array, Array], Array]
    last_norm: Callable[[Any, Tree, Array], Array]


class Config(Protocol):
    """What the configuration of any family says: a hashable value, static under jit.

    Attributes:
        trained_length: tokens of context the weights were trained on; 0 if nobody knows.
        tied_head: the output projection is the embedding table.
    """

    @property
    def family(self) -> Family: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def key_heads(self) -> int: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def feed_forward(self) -> int: ...
    @property
    def norm_eps(self) -> float: ...
    @property
    def trained_length(self) -> int: ...
    @property
    def tied_head(self) -> bool: ...
