"""Decoding from a cache of unrotated keys equals the full forward."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.attention import Causal, attend
from ropelab.contract.calls import KERNELS, fast_jit, make_positions, run_forward
from ropelab.contract.samples import B, T, assert_same, find_trained_length, sample_params, sample_qkv
from ropelab.encodings import Encoding
from ropelab.encodings.base import Params

_Decode = Callable[..., Array]


@partial(fast_jit, static_argnums=0)
def decode(encoding: Encoding, params: Params, qkv: tuple[Array, ...], pos: Array, t: Array, length: Array) -> Array:
    """Out of query t alone, read from a cache that holds the keys up to t and nothing in its other slots."""
    q, k, v = qkv
    stored = jnp.arange(T) <= t
    keys, values = (jnp.where(stored[:, None, None], x, 0.0) for x in (k, v))
    segments = jnp.broadcast_to(jnp.zeros(1, int), (B, 1)), jnp.broadcast_to(jnp.where(stored, 0, -1), (B, T))
    out, _ = attend(
        jax.lax.dynamic_slice_in_dim(q, t, 1, axis=1),
        keys,
        values,
        encoding=encoding,
        params=params,
        q_pos=pos[t][None],
        k_pos=jnp.where(stored, pos, 0),
        segments=segments,
        length=length,
    )
    return out[:, 0]


def decoding_equals_the_full_forward(encoding: Encoding, decode: _Decode = decode) -> None:
    """One query at a time against the cache, told the length that it has by then, gives each row of the full forward.

    A scaling that depends on the length has other rows at each. Of those, one layer of attention is exact while the
    text grows past the trained length, because the cache holds keys as they were before any rotation
    (transformers#25104).
    """
    params, qkv = sample_params(encoding), sample_qkv()
    stride = 2 * find_trained_length(encoding) // T
    pos = jnp.arange(T) * stride
    rows = np.broadcast_to(pos, (B, T))
    for t in range(T):
        now, end = (t + 1) * stride, T * stride
        for length, full in {(now, now), (end, end)} if encoding.depends_on_length else {(now, end)}:
            whole, _ = run_forward(encoding, Causal(), KERNELS["dense"], params, qkv, make_positions(rows, length=full))
            step = decode(encoding, params, qkv, pos, jnp.asarray(t), jnp.asarray(length))
            what = f"token {t} decoded with {encoding} at length {length}"
            assert_same(step, np.asarray(whole)[:, t], 1e-5, what)
