"""The Llama: its sizes, its parameters, and its layer as pure functions of them.

    x ← x + o(attend(q(h), k(h), v(h))),  h = norm(x);   x ← x + down(silu(gate(h)) * up(h)),  h = norm(x)

Source: Touvron et al., arXiv 2302.13971, section 2.2; equal to transformers' LlamaForCausalLM.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ropelab.models.family import Family, Layer, Tree
from ropelab.models.layer_parts import completed, from_heads, joined_heads, rms_norm, to_heads
from ropelab.models.product import product
from ropelab.spec import Spec, at_least, require, spec


@spec
class LlamaConfig(Spec):
    """Sizes of a Llama-architecture model: what its weights fix.

    Attributes:
        trained_length: tokens of context the weights were trained on; 0 if nobody knows.
        tied_head: the output projection is the embedding table.
        attention_bias, mlp_bias: projections carry biases.
        sink_logits: each head of each layer learns a score that belongs to no key, as in gpt-oss.
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
    sink_logits: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "vocabulary", "width", "layers", "heads", "key_heads", "head_dim", "feed_forward")
        at_least(0, self, "norm_eps", "trained_length")
        require(
            self.heads % self.key_heads == 0,
            self,
            f"heads={self.heads} must be a multiple of key_heads={self.key_heads}",
        )

    @property
    def family(self) -> Family:
        return Family(shapes, initial_leaf, projections, finish_layer, last_norm)


def shapes(config: LlamaConfig) -> Tree:
    """The shape of every parameter besides embedding and head."""
    L, D, F = config.layers, config.width, config.feed_forward
    N, K, H = config.heads, config.key_heads, config.head_dim
    layers = {
        "attention_norm": (L, D),
        "q": (L, D, N, H),
        "k": (L, D, K, H),
        "v": (L, D, K, H),
        "o": (L, N, H, D),
        "mlp_norm": (L, D),
        "gate": (L, D, F),
        "up": (L, D, F),
        "down": (L, F, D),
    }
    if config.attention_bias:
        layers |= {"q_bias": (L, N, H), "k_bias": (L, K, H), "v_bias": (L, K, H), "o_bias": (L, D)}
    if config.mlp_bias:
        layers |= {"gate_bias": (L, F), "up_bias": (L, F), "down_bias": (L, D)}
    if config.sink_logits:
        layers |= {"sink_logits": (L, N)}
    return {"layers": layers, "norm": (D,)}


def initial_leaf(key: Array, name: str, shape: tuple[int, ...], config: LlamaConfig, dtype: Any) -> Array:
    """Norms 1, biases 0, matrices normal with deviation 0.02, and those that write into the residual stream smaller
    by sqrt(2 L) (GPT-2's rule)."""
    if name.endswith("norm"):
        return jnp.ones(shape, dtype)
    if name.endswith("bias"):
        return jnp.zeros(shape, dtype)
    deviation = 0.02 / (math.sqrt(2 * config.layers) if name in ("o", "down") else 1.0)
    return (deviation * jax.random.normal(key, shape, jnp.float32)).astype(dtype)


def projections(config: LlamaConfig, layer: Layer, x_BTD: Array) -> tuple[Array, Array, Array]:
    """Queries, keys and values, not yet encoded."""
    return to_heads(layer, rms_norm(x_BTD, layer["attention_norm"], config.norm_eps))


def finish_layer(config: LlamaConfig, layer: Layer, x_BTD: Array, mixed_BTNH: Array) -> Array:
    """Output projection, then the gated feed-forward, each added to the stream."""
    x_BTD = x_BTD + from_heads(layer, joined_heads(mixed_BTNH))
    h_BTD = rms_norm(x_BTD, layer["mlp_norm"], config.norm_eps)
    gate_BTF = completed(product(h_BTD, layer["gate"]), layer, "gate", h_BTD)
    up_BTF = completed(product(h_BTD, layer["up"]), layer, "up", h_BTD)
    inner_BTF = jax.nn.silu(gate_BTF) * up_BTF
    return x_BTD + completed(product(inner_BTF, layer["down"]), layer, "down", inner_BTF)


def last_norm(config: LlamaConfig, params: Tree, x_BTD: Array) -> Array:
    """The norm after the last layer."""
    return rms_norm(x_BTD, params["norm"], config.norm_eps)
