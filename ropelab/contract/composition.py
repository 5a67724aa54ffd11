"""Wrappers and schedules: an encoding inside another one acts as it does alone.

A wrapper that forgets to pass on one hook drops what that hook does, silently. So every wrapper is tried around every
encoding, and its scores are compared with those of the encoding alone on queries that are multiplied beforehand.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.contract.samples import N, Numbers, assert_same, sample_params, sample_qkv
from ropelab.encodings import Encoding, Layers, LogN, NoPE, ScalableSoftmax, Temperature, scoring
from ropelab.encodings.base import Params
from ropelab.encodings.query_scaling import QueryScaled

_START = 7  # the first position: from here on each wrapper's factor differs from 1
_WRAPPERS = (
    LogN(inner=NoPE(), original_length=4),
    Temperature(inner=NoPE(), interval=4),
    ScalableSoftmax(inner=NoPE()),
)


def wrapping_multiplies_the_queries(encoding: Encoding) -> str | None:
    """In each wrapper, also around a schedule over layers that contains it, an encoding gives the scores that it gives
    alone to queries multiplied by the wrapper's factor."""
    reasons = []
    for wrapper in _WRAPPERS:
        for inner in (encoding, *_make_schedules(encoding)):
            try:
                wrapped = dataclasses.replace(wrapper, inner=inner)
            except ValueError as refused:
                reasons.append(str(refused))
                continue
            layers = range(len(inner.unique_encodings()) + 1)
            for layer in layers:
                assert_multiplied(wrapped, layer)
    return "; ".join(dict.fromkeys(reasons)) if len(reasons) == 2 * len(_WRAPPERS) else None


def _make_schedules(encoding: Encoding) -> tuple[Encoding, ...]:
    """The encoding as the second layer of two, where a layer can have it."""
    nests = encoding.adds_to_input or encoding.unique_encodings() != (encoding,)
    return () if nests else (Layers((NoPE(), encoding)),)


def assert_multiplied(wrapped: QueryScaled, layer: int) -> None:
    """Compare the scores in one layer with those of the inner encoding on multiplied queries."""
    q, k, _ = sample_qkv()
    pos = np.arange(_START, _START + q.shape[1], dtype=np.int32)
    params = sample_params(wrapped)
    outer, own = scoring.select_encoding(wrapped, params, layer)
    assert isinstance(outer, QueryScaled), f"{wrapped} runs {outer} in layer {layer}, without {type(wrapped).__name__}"
    inner, _ = scoring.select_encoding(wrapped.inner, {}, layer)
    assert outer.inner == inner, f"{wrapped} runs {outer.inner} in layer {layer} instead of {inner}"
    ctx = scoring.make_context(_START + q.shape[1], N)
    factor = outer.query_scale(own, jnp.asarray(pos)[None], ctx)[..., None]
    expected = _score_inner(inner, own, q, q * np.asarray(factor), k, pos)
    found = scoring.scores(wrapped, q, k, pos, pos, params=params, layer=layer)
    assert_same(found, expected, 1e-5, f"scores of {wrapped} in layer {layer} against {inner} on multiplied queries")


def _score_inner(
    encoding: Encoding, params: Params, q: Numbers, multiplied: Numbers, k: Numbers, pos: Numbers
) -> Array:
    """The scores of an encoding on multiplied queries; what a contextual one adds is of the queries themselves."""
    if not encoding.needs_full_rows:
        return scoring.scores(encoding, multiplied, k, pos, pos, params=params)
    pos_BT = jnp.broadcast_to(jnp.asarray(pos), q.shape[:2])
    ctx = scoring.make_context(int(pos.max()) + 1, N)
    views = scoring.encode_queries(encoding, params, jnp.asarray(multiplied), pos_BT, ctx)[:-1]
    queries = (*views, jnp.swapaxes(jnp.asarray(q), 1, 2))
    keys = scoring.encode_keys(encoding, params, jnp.asarray(k), pos_BT, ctx)
    past = (pos_BT[:, None, :] <= pos_BT[:, :, None])[:, None]
    return scoring.compute_scores(encoding, params, queries, keys, pos_BT, pos_BT, ctx, past)
