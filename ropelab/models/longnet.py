"""LongNet: a decoder with dilated attention, xPos and sub-LN; its sizes, its parameters, and its layer.

    x ← x + o(LN(attend(q(h), k(h), v(h)))),  h = LN(x);   x ← x + down(LN(gelu(up(h)))),  h = LN(x)

LN is (x - mean) / sqrt(variance + eps) · gain + bias; every projection has a bias, gelu is the exact one, embedded
tokens are not scaled (torchscale's `no_scale_embedding`). Dilation and xPos are the wiring's, as in any model:
`Dilated`, or `geometric` below, and `XPos(base=1e4, pairing="interleaved")`.

Source: Ding et al., arXiv 2307.02486, section 4.1; the layer is Magneto's, Wang et al., arXiv 2210.06423; equal to
torchscale's `LongNetDecoder` with `subln` at 4d1e0e82, whose fc1 and fc2 are `up` and `down` here.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ropelab.attention.patterns.dilated import Dilated
from ropelab.models.family import Family, Layer, Tree
from ropelab.models.layer_parts import completed, from_heads, joined_heads, layer_norm, to_heads
from ropelab.models.product import product
from ropelab.spec import Spec, at_least, spec


@spec
class LongNetConfig(Spec):
    """Sizes of a LongNet; every query head has a key head of its own.

    Attributes:
        trained_length: tokens of context the weights were trained on; 0 if nobody knows.
        tied_head: the output projection is the embedding table.
    """

    vocabulary: int
    width: int
    layers: int
    heads: int
    head_dim: int
    feed_forward: int
    norm_eps: float
    trained_length: int
    tied_head: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "vocabulary", "width", "layers", "heads", "head_dim", "feed_forward")
        at_least(0, self, "norm_eps", "trained_length")

    @property
    def key_heads(self) -> int:
        return self.heads

    @property
    def family(self) -> Family:
        return Family(shapes, initial_leaf, projections, finish_layer, last_norm)


def shapes(config: LongNetConfig) -> Tree:
    """The shape of every parameter besides embedding and head."""
    L, D, F, N, H = config.layers, config.width, config.feed_forward, config.heads, config.head_dim
    matrices = dict.fromkeys(("q", "k", "v"), (L, D, N, H)) | {"o": (L, N, H, D), "up": (L, D, F), "down": (L, F, D)}
    biases = {f"{name}_bias": (L, N, H) for name in ("q", "k", "v")}
    biases |= {"o_bias": (L, D), "up_bias": (L, F), "down_bias": (L, D)}
    widths = {"attention_norm": D, "mixed_norm": N * H, "mlp_norm": D, "up_norm": F}
    norms = {f"{name}{part}": (L, size) for name, size in widths.items() for part in ("", "_bias")}
    return {"layers": matrices | biases | norms, "norm": (D,), "norm_bias": (D,)}


def initial_leaf(key: Array, name: str, shape: tuple[int, ...], config: LongNetConfig, dtype: Any) -> Array:
    """Gains 1, biases 0, matrices normal with Xavier's deviation, sqrt(2 / (in + out)), times Magneto's gain.

    The gain is sqrt(log(2 L)) for v, o, up and down, and 1 for q and k (Magneto, figure 2). torchscale, at 0.3.0 and
    at 4d1e0e82, has that gain (`init_scale` of its `Decoder`) but multiplies by it what `torch.nn.Linear` draws,
    uniform within 1 / sqrt(in), and biases too: the Xavier matrices of `MultiheadAttention.reset_parameters`, with
    1 / sqrt(2) for q, k and v, are drawn only if somebody calls it. Embedding and head have deviation D^-1/2, as there.
    """
    if name.endswith("norm"):
        return jnp.ones(shape, dtype)
    if name.endswith("bias"):
        return jnp.zeros(shape, dtype)
    return (deviation(name, config) * jax.random.normal(key, shape, jnp.float32)).astype(dtype)


def deviation(name: str, config: LongNetConfig) -> float:
    """Of the entries of a matrix."""
    if name in ("embedding", "head"):
        return config.width**-0.5
    inner = config.feed_forward if name in ("up", "down") else config.heads * config.head_dim
    gain = 1.0 if name in ("q", "k") else math.sqrt(math.log(2 * config.layers))
    return gain * math.sqrt(2 / (config.width + inner))


def projections(config: LongNetConfig, layer: Layer, x_BTD: Array) -> tuple[Array, Array, Array]:
    """Queries, keys and values, not yet encoded."""
    return to_heads(layer, norm(config, layer, "attention_norm", x_BTD))


def finish_layer(config: LongNetConfig, layer: Layer, x_BTD: Array, mixed_BTNH: Array) -> Array:
    """Output projection, then the feed-forward, each with a norm before its last matrix, each added to the stream."""
    mixed_BTX = norm(config, layer, "mixed_norm", joined_heads(mixed_BTNH))
    x_BTD = x_BTD + from_heads(layer, mixed_BTX)
    h_BTD = norm(config, layer, "mlp_norm", x_BTD)
    up_BTF = completed(product(h_BTD, layer["up"]), layer, "up", h_BTD)
    up_BTF = norm(config, layer, "up_norm", jax.nn.gelu(up_BTF, approximate=False))
    return completed(x_BTD + product(up_BTF, layer["down"]), layer, "down", up_BTF)


def last_norm(config: LongNetConfig, params: Tree, x_BTD: Array) -> Array:
    """The norm after the last layer."""
    return norm(config, params, "norm", x_BTD)


def norm(config: LongNetConfig, layer: Layer, name: str, x: Array) -> Array:
    return layer_norm(x, layer[name], layer[f"{name}_bias"], config.norm_eps)


def geometric(segment: int, longest: int, ratio: int = 2) -> Dilated:
    """Segments and rates that grow together: w = segment · ratio^b up to `longest`, r = ratio^b.

    A branch costs 1 / ratio of the one before it, so that all together cost less than ratio / (ratio - 1) times the
    first, whatever the longest segment (the paper's section on complexity, with alpha equal for w and r).

    Raises:
        ValueError: for a ratio below 2, or no room for one segment.
    """
    if ratio < 2 or not 0 < segment <= longest:
        raise ValueError(f"segment={segment}, longest={longest}, ratio={ratio}: 1 <= segment <= longest, 2 <= ratio")
    rates = [1]
    while segment * rates[-1] * ratio <= longest:
        rates.append(rates[-1] * ratio)
    return Dilated(segments=tuple(segment * r for r in rates), rates=tuple(rates))
