"""The loops that all families share: embedding, layers under one scan, norm; over a whole text or against a cache.

What a layer is made of is its family's (`family.py`), which encoding and pattern it attends under is the wiring's.
"""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ropelab.attention.api import attend
from ropelab.attention.exchanges import Exchange
from ropelab.models.chunks import by_tokens
from ropelab.models.config import Wiring
from ropelab.models.family import Layer
from ropelab.models.remat import remembered
from ropelab.models.tables import LayerTables, divided, embedded, kinds_of_layers

# Layers that are compiled one by one: the backward pass of a loop fills a buffer of [L, ...] with zeros for all that it
# remembers, a tenth of the step of a 4-layer model of width 256.
UNROLLED = 4


class Placed(NamedTuple):
    """Where the tokens of a call stand.

    Attributes:
        pos: i32[B, T].
        segments: i32[B, T], the document of each token, or None for one document.
        length: tokens in context, for encodings that depend on it; known or traced.
        in_order: whether token t stands at position t.
    """

    pos: Array
    segments: Array | None
    length: int | Array
    in_order: bool = False


class Cache(NamedTuple):
    """Keys, not yet rotated, and values of the tokens seen so far, with where those stand.

    Rotating when the keys are read keeps every score of a step in one frame, whatever the length has
    become; a cache of rotated keys cannot (transformers#25104).

    Attributes:
        keys, values: [L, B, S, K, H].
        pos: i32[B, S].
        segments: i32[B, S], -1 where nothing is stored yet.
        filled: how many of the S slots are taken.
    """

    keys: Array
    values: Array
    pos: Array
    segments: Array
    filled: Array


def hidden_states(wiring: Wiring, params: dict[str, Any], tokens_BT: Array, placed: Placed) -> Array:
    """x_BTD after the last norm, from which logits are one projection away."""
    config, family = wiring.config, wiring.config.family
    stacked, shared = divided(wiring, params)
    trained = wiring.remat is not None
    each = partial(by_tokens, whole=trained)

    def body(x_BTD: Array, xs: tuple[Layer, Array, dict]) -> tuple[Array, None]:
        layer, number, own = xs
        q, k, v = each(partial(family.projections, config, layer), x_BTD)
        mixed = mix(wiring, LayerTables(number, own, shared), q, (k, v), placed, placed, layer.get("sink_logits"))
        return each(partial(family.finish_layer, config, layer), x_BTD, mixed), None

    xs = (params["layers"], jnp.arange(config.layers), stacked)
    x_BTD = embedded(wiring, params, tokens_BT, placed.pos)
    unrolled = trained and config.layers <= UNROLLED
    x_BTD, _ = lax.scan(remembered(wiring.remat, body), x_BTD, xs, unroll=unrolled)
    return family.last_norm(config, params, x_BTD)


def extend(
    wiring: Wiring, params: dict[str, Any], tokens_BT: Array, placed: Placed, cache: Cache
) -> tuple[Array, Cache]:
    """`(x_BTD, cache)`: run further tokens against a cache and store their keys and values in it."""
    segments_BT = jnp.zeros_like(tokens_BT) if placed.segments is None else placed.segments
    placed = placed._replace(segments=segments_BT)
    stored = Placed(
        store(cache.pos, placed.pos, cache.filled), store(cache.segments, segments_BT, cache.filled), placed.length
    )
    config, family = wiring.config, wiring.config.family
    stacked, shared = divided(wiring, params)

    def body(x_BTD: Array, xs: tuple) -> tuple[Array, tuple[Array, Array]]:
        layer, number, own, keys, values = xs
        q, k, v = by_tokens(partial(family.projections, config, layer), x_BTD)
        kv = store(keys, k, cache.filled), store(values, v, cache.filled)
        mixed = mix(wiring, LayerTables(number, own, shared), q, kv, placed, stored, layer.get("sink_logits"))
        return by_tokens(partial(family.finish_layer, config, layer), x_BTD, mixed), kv

    xs = (params["layers"], jnp.arange(config.layers), stacked, cache.keys, cache.values)
    x_BTD, (keys, values) = lax.scan(body, embedded(wiring, params, tokens_BT, placed.pos), xs)
    filled = cache.filled + tokens_BT.shape[1]
    return family.last_norm(config, params, x_BTD), Cache(
        keys, values, stored.pos, jnp.asarray(stored.segments), filled
    )


def empty_cache(wiring: Wiring, batch: int, slots: int, dtype: Any) -> Cache:
    """A cache with room for `slots` tokens.

    Raises:
        ValueError: for a kernel that works on the shards of a sequence.
    """
    if isinstance(wiring.kernel, Exchange):
        raise ValueError(f"a cache lies whole on a device, and {wiring.kernel!r} wants shards: swap(kernel='auto')")
    config = wiring.config
    shape = (config.layers, batch, slots, config.key_heads, config.head_dim)
    pos_BS = jnp.zeros((batch, slots), jnp.int32)
    return Cache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), pos_BS, pos_BS - 1, jnp.zeros((), jnp.int32))


def store(kept_BS: Array, new_BT: Array, at: Array) -> Array:
    """Write T new entries along the second axis."""
    return lax.dynamic_update_slice_in_dim(kept_BS, new_BT.astype(kept_BS.dtype), at, axis=1)


def mix(
    wiring: Wiring,
    tables: LayerTables,
    q_BTNH: Array,
    kv: tuple[Array, Array],
    queries: Placed,
    keys: Placed,
    sink_logits_N: Array | None,
) -> Array:
    """Attention as the wiring has it in this layer."""
    segments = None if queries.segments is None or keys.segments is None else (queries.segments, keys.segments)
    in_order = queries.in_order and queries is keys

    def run(kind: int, q_BTNH: Array, k_BSKH: Array, v_BSKH: Array) -> Array:
        out_BTNH, _ = attend(
            q_BTNH,
            k_BSKH,
            v_BSKH,
            encoding=wiring.encoding.unique_encodings()[kind],
            pattern=wiring.pattern,
            params=tables.of(kind),
            q_pos=None if in_order else queries.pos,
            k_pos=None if in_order else keys.pos,
            segments=segments,
            length=queries.length,
            kernel=wiring.kernel,
            sink_logits=sink_logits_N,
        )
        return out_BTNH

    branches = [partial(run, kind) for kind in range(len(wiring.encoding.unique_encodings()))]
    if len(branches) == 1:
        return branches[0](q_BTNH, *kv)
    return lax.switch(kinds_of_layers(wiring)[tables.number], branches, q_BTNH, *kv)
