"""What the layers of every family are made of: norms, and the projections to heads and back."""

import jax.numpy as jnp
from jax import Array, lax

from ropelab.models.family import Layer
from ropelab.models.product import product
from ropelab.precision import matmul


def to_heads(layer: Layer, h_BTD: Array) -> tuple[Array, Array, Array]:
    """Queries, keys and values, not yet encoded."""
    q_BTNH = completed(product(h_BTD, layer["q"]), layer, "q", h_BTD)
    k_BTKH = completed(product(h_BTD, layer["k"]), layer, "k", h_BTD)
    v_BTKH = completed(product(h_BTD, layer["v"]), layer, "v", h_BTD)
    return q_BTNH, k_BTKH, v_BTKH


def joined_heads(mixed_BTNH: Array) -> Array:
    """[B, T, N H].

    Heads joined by hand: contracting (N, H) as two axes, XLA copies weights and values into H-major order first.
    """
    return mixed_BTNH.reshape(*mixed_BTNH.shape[:2], -1)


def from_heads(layer: Layer, joined_BTX: Array) -> Array:
    """The output projection of joined heads, [B, T, D]."""
    o_XD = layer["o"].reshape(-1, layer["o"].shape[-1])
    return completed(product(joined_BTX, o_XD), layer, "o", joined_BTX)


def completed(y: Array, layer: Layer, name: str, x_BTX: Array) -> Array:
    """What stands beside the matrix of a projection, where a layer has it: y + (x A) B + bias.

    Args:
        x_BTX: what the matrix was multiplied with, its axes behind T joined.
    """
    if f"{name}_a" in layer:
        a, b = layer[f"{name}_a"], layer[f"{name}_b"]
        low_BTR = matmul(x_BTX, a.reshape(x_BTX.shape[-1], -1))
        y = y + matmul(low_BTR, b.reshape(b.shape[0], -1)).reshape(y.shape)
    return y + layer[f"{name}_bias"] if f"{name}_bias" in layer else y


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
