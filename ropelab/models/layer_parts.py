"""What the layers of every family are made of: norms, and the projections to heads and back."""

import jax.numpy as jnp
from jax import Array, lax

from ropelab.models.family import Layer


def to_heads(layer: Layer, h_BTD: Array) -> tuple[Array, Array, Array]:
    """Queries, keys and values, not yet encoded."""
    q_BTNH = biased(jnp.einsum("BTD,DNH->BTNH", h_BTD, layer["q"]), layer, "q_bias")
    k_BTKH = biased(jnp.einsum("BTD,DKH->BTKH", h_BTD, layer["k"]), layer, "k_bias")
    v_BTKH = biased(jnp.einsum("BTD,DKH->BTKH", h_BTD, layer["v"]), layer, "v_bias")
    return q_BTNH, k_BTKH, v_BTKH


def joined_heads(mixed_BTNH: Array) -> Array:
    """[B, T, N H].

    Heads joined by hand: contracting (N, H) as two axes, XLA copies weights and values into H-major order first.
    """
    return mixed_BTNH.reshape(*mixed_BTNH.shape[:2], -1)


def from_heads(layer: Layer, joined_BTX: Array) -> Array:
    """The output projection of joined heads, [B, T, D]."""
    o_XD = layer["o"].reshape(-1, layer["o"].shape[-1])
    return biased(joined_BTX @ o_XD, layer, "o_bias")


def biased(x: Array, layer: Layer, name: str) -> Array:
    return x + layer[name] if name in layer else x


def rms_norm(x: Array, gain: Array, eps: float) -> Array:
    """x / sqrt(mean(x^2) + eps) * gain, the mean in float32."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    scale = lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + eps)
    return (wide * scale).astype(x.dtype) * gain


def layer_norm(x: Array, gain: Array, bias: Array, eps: float) -> Array:
    """(x - mean(x)) / sqrt(variance(x) + eps) * gain + bias, mean and variance in float32."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
    scale = lax.rsqrt(jnp.mean(centred * centred, axis=-1, keepdims=True) + eps)
    return (centred * scale).astype(x.dtype) * gain + bias
