"""The weighted sum of losses, whose gradient is taken on the way forward.

    L = sum_bt w_bt (lse_v(x_bt . e_v) - x_bt . e_target)
    dL/ds_btv = w_bt (softmax(s_bt)_v - [v = target]),    dL/dx = dL/ds E,    dL/dE = dL/ds^T x

Everything the gradient needs is at hand when the scores of some tokens are, so nothing of [T, V] is kept or computed
again: three products instead of the five that a loss made of `head.negative_log_likelihood` has, whose scores are
computed again for the chunk and again for the block of words. The trick is Liger's (Hsu et al., arXiv 2410.10989,
section 3.2), which needs the loss to be a sum that is scaled afterwards, as it is here.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from ropelab.models import head
from ropelab.models.product import gathered
from ropelab.precision import einsum

SCORES = 2**24  # scores that are held at a time: 64 MiB
FEWEST = 64  # tokens of a row at a time, or the products become thin


def weighted_sum(params: dict[str, Any], x_BTD: Array, targets_BT: Array, weights_BT: Array) -> Array:
    """sum_bt w_bt nll_bt, float32; differentiable in the head's table and in x."""
    return _weighted_sum(head.table(params), x_BTD, targets_BT, weights_BT)


@jax.custom_vjp
def _weighted_sum(table_VD: Array, x_BTD: Array, targets_BT: Array, weights_BT: Array) -> Array:
    return jnp.sum(head.negative_log_likelihood({"embedding": table_VD}, x_BTD, targets_BT) * weights_BT)


def _forward(table_VD: Array, x_BTD: Array, targets_BT: Array, weights_BT: Array) -> tuple[Array, tuple]:
    B, T, _ = x_BTD.shape
    size = min(T, max(FEWEST, SCORES // (B * table_VD.shape[0])))
    missing = -T % size

    def cut(a: Array) -> Array:
        padded = jnp.pad(a, ((0, 0), (0, missing), *[(0, 0)] * (a.ndim - 2)))
        return jnp.moveaxis(padded.reshape(B, -1, size, *a.shape[2:]), 1, 0)

    def chunk(carry: tuple[Array, Array], xs: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], Array]:
        total, d_table = carry
        loss, d_scores, d_x = of_tokens(table_VD, *xs)
        d_table += gathered(d_scores, xs[0])
        return (total + loss, d_table), d_x

    first = (jnp.zeros((), jnp.float32), jnp.zeros(table_VD.shape, jnp.float32))
    if size == T:
        (total, d_table), d_x = chunk(first, (x_BTD, targets_BT, weights_BT))
        return total, (d_table.astype(table_VD.dtype), d_x, weights_BT)
    (total, d_table), d_x = lax.scan(chunk, first, (cut(x_BTD), cut(targets_BT), cut(weights_BT)))
    d_x = jnp.moveaxis(d_x, 0, 1).reshape(B, -1, x_BTD.shape[-1])[:, :T]
    return total, (d_table.astype(table_VD.dtype), d_x, weights_BT)


def of_tokens(table_VD: Array, x_BTD: Array, targets_BT: Array, weights_BT: Array) -> tuple[Array, Array, Array]:
    """`(loss, dL/ds, dL/dx)` of some tokens."""
    scores = einsum("BTD,VD->BTV", x_BTD, table_VD, preferred_element_type=jnp.float32)
    lse_BT = jax.nn.logsumexp(scores, axis=-1)
    picked_BT = einsum("BTD,BTD->BT", x_BTD, table_VD[targets_BT], preferred_element_type=jnp.float32)
    hit_BTV = targets_BT[..., None] == jnp.arange(table_VD.shape[0])
    d_scores = (jnp.exp(scores - lse_BT[..., None]) - hit_BTV) * weights_BT[..., None]
    # Written once: each of the two products would have it made anew, one of them transposed.
    d_scores = lax.optimization_barrier(d_scores.astype(x_BTD.dtype))
    dx_BTD = einsum("BTV,VD->BTD", d_scores, table_VD)
    return jnp.sum((lse_BT - picked_BT) * weights_BT), d_scores, dx_BTD


def _backward(kept: tuple, cotangent: Array) -> tuple:
    d_table, d_x, weights_BT = kept
    return (cotangent * d_table).astype(d_table.dtype), (cotangent * d_x).astype(d_x.dtype), None, weights_BT * 0


_weighted_sum.defvjp(_forward, _backward)
