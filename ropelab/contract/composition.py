"""Wrappers and schedules: an encoding inside another one acts as it does alone.

A wrapper that forgets to pass on one hook drops what that hook does, silently. So every wrapper is tried around every
encoding, and its scores are compared with those of the encoding alone on queries that are multiplied beforehand.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.contract.samples import N, Numbers, assert_same, sample, tables
from ropelab.encodings import Encoding, Layers, LogN, NoPE, ScalableSoftmax, Temperature, scoring
from ropelab.encodings.base import Params
from ropelab.encodings.query_scaling import Sharpened

START = 7  # the first position: from here on each wrapper's factor differs from 1
WRAPPERS = (
    LogN(of=NoPE(), original_length=4),
    Temperature(of=NoPE(), interval=4),
    ScalableSoftmax(of=NoPE()),
)


def wrapping_multiplies_the_queries(encoding: Encoding) -> str | None:
    """In each wrapper, also around a schedule over layers that contains it, an encoding gives the scores that it gives
    alone to queries multiplied by the wrapper's factor."""
    reasons = []
    for wrapper in WRAPPERS:
        for inner in (encoding, *schedules(encoding)):
            try:
                wrapped = dataclasses.replace(wrapper, of=inner)
            except ValueError as refused:
                reasons.append(str(refused))
                continue
            layers = range(len(inner.kinds()) + 1)
            for layer in layers:
                assert_multiplied(wrapped, layer)
    return "; ".join(dict.fromkeys(reasons)) if len(reasons) == 2 * len(WRAPPERS) else None


def schedules(encoding: Encoding) -> tuple[Encoding, ...]:
    """The encoding as the second layer of two, where a layer can have it."""
    nests = encoding.adds_to_input or encoding.kinds() != (encoding,)
    return () if nests else (Layers((NoPE(), encoding)),)


def assert_multiplied(wrapped: Sharpened, layer: int) -> None:
    """Compare the scores in one layer with those of the inner encoding on multiplied queries."""
    q, k, _ = sample()
    pos = np.arange(START, START + q.shape[1], dtype=np.int32)
    params = tables(wrapped)
    outer, own = scoring.at_layer(wrapped, params, layer)
    assert isinstance(outer, Sharpened), f"{wrapped} runs {outer} in layer {layer}, without {type(wrapped).__name__}"
    inner, _ = scoring.at_layer(wrapped.of, {}, layer)
    assert outer.of == inner, f"{wrapped} runs {outer.of} in layer {layer} instead of {inner}"
    ctx = scoring.context(START + q.shape[1], N)
    factor = outer.sharpness(own, jnp.asarray(pos)[None], ctx)[..., None]
    expected = scores_of_inner(inner, own, q, q * np.asarray(factor), k, pos)
    found = scoring.scores(wrapped, q, k, pos, pos, params=params, layer=layer)
    assert_same(found, expected, 1e-5, f"scores of {wrapped} in layer {layer} against {inner} on multiplied queries")


def scores_of_inner(
    encoding: Encoding, params: Params, q: Numbers, multiplied: Numbers, k: Numbers, pos: Numbers
) -> Array:
    """The scores of an encoding on multiplied queries; what a contextual one adds is of the queries themselves."""
    if not encoding.contextual:
        return scoring.scores(encoding, multiplied, k, pos, pos, params=params)
    pos_BT = jnp.broadcast_to(jnp.asarray(pos), q.shape[:2])
    ctx = scoring.context(int(pos.max()) + 1, N)
    views = scoring.query_views(encoding, params, jnp.asarray(multiplied), pos_BT, ctx)[:-1]
    queries = (*views, jnp.swapaxes(jnp.asarray(q), 1, 2))
    keys = scoring.key_views(encoding, params, jnp.asarray(k), pos_BT, ctx)
    past = (pos_BT[:, None, :] <= pos_BT[:, :, None])[:, None]
    return scoring.joined(encoding, params, queries, keys, pos_BT, pos_BT, ctx, past)
