"""The product of a stream of tokens with a matrix, whose backward pass a CPU runs in place.

    y = x W;    dx = dy W^T,    dW = x^T dy

XLA's CPU compiler writes whatever made dy out twice, once transposed by strided stores, to please the product with x^T;
kept apart from what made it, dy is written once and the product reads it as it lies (a step of a 4-layer model of width
256: 0.91 s of processor time with the copies, 0.68 s without).

A long sum is taken in parts: XLA's CPU library adds up a whole contraction in one float32, whose rounding grows with it
(of 1536 terms three times that of numpy's). In SmolLM2's logits of 400 random tokens it comes to 1.0e-3, and to 3.8e-4
with parts of 512 terms, in the same time.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from ropelab.precision import einsum, matmul, product_precision

ROWS, COLUMNS = ((0,), (0,)), ((1,), (1,))
TERMS = 512  # that are added up at a time
MANY = 64  # rows from which on the parts cost little: each is copied before its product


def product(x_BTX: Array, w: Array) -> Array:
    """x W, [B, T, ...] for W of [X, ...]."""
    if jax.default_backend() != "cpu":
        return jnp.tensordot(x_BTX, w, 1, precision=product_precision(x_BTX, w))
    rows, matrix = x_BTX.reshape(-1, x_BTX.shape[-1]), w.reshape(w.shape[0], -1)
    return _product(rows, matrix).reshape(*x_BTX.shape[:-1], *w.shape[1:])


@jax.custom_vjp
def _product(x_RX: Array, w_XY: Array) -> Array:
    return in_parts(x_RX, w_XY)


def in_parts(x_RX: Array, w_XY: Array) -> Array:
    """x W as the sum of products of at most `TERMS` terms, as near to equal as they can be."""
    R, X = x_RX.shape
    parts = -(-X // TERMS) if R >= MANY else 1
    ends = [X * n // parts for n in range(parts + 1)]
    return functools.reduce(jnp.add, (matmul(x_RX[:, a:b], w_XY[a:b]) for a, b in itertools.pairwise(ends)))


def _forward(x_RX: Array, w_XY: Array) -> tuple[Array, tuple[Array, Array]]:
    return in_parts(x_RX, w_XY), (x_RX, w_XY)


def _backward(kept: tuple[Array, Array], d_RY: Array) -> tuple[Any, Any]:
    x_RX, w_XY = kept
    d_RY = lax.optimization_barrier(d_RY)
    precision = product_precision(d_RY, w_XY)
    dx_RX = lax.dot_general(d_RY, w_XY, (COLUMNS, ((), ())), precision=precision)
    return dx_RX, lax.dot_general(x_RX, d_RY, (ROWS, ((), ())), precision=precision)


_product.defvjp(_forward, _backward)


def gathered(x_BTX: Array, d_BTY: Array) -> Array:
    """x^T dy, float32[X, Y]: the gradient of a matrix."""
    if jax.default_backend() != "cpu":
        return einsum("BTX,BTY->XY", x_BTX, d_BTY, preferred_element_type=jnp.float32)
    x_RX, d_RY = x_BTX.reshape(-1, x_BTX.shape[-1]), d_BTY.reshape(-1, d_BTY.shape[-1])
    precision = product_precision(x_RX, d_RY)
    return lax.dot_general(x_RX, d_RY, (ROWS, ((), ())), precision=precision, preferred_element_type=jnp.float32)
