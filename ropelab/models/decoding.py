"""One token at a time: layers unrolled, each with a cache of its own that is written in place.

A scan over layers rebuilds the stacked caches and copies each layer's weights at every step: on two CPU cores it is
three times slower than what is here. Keys are cached as the scores will see them, encoded once, where an encoding is
static; otherwise as they are, and encoded when they are read, under the length or the frame of the step.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ropelab.attention.api import attend_encoded
from ropelab.attention.formula import Tokens
from ropelab.encodings.base import Context, Encoding, Params
from ropelab.encodings.scoring import Views, encode_keys, make_context, prepare_queries
from ropelab.models import head
from ropelab.models.config import Wiring
from ropelab.models.stack import Cache
from ropelab.models.tables import LayerTables, divided, embedded

Tree = dict[str, Any]


class Kept(NamedTuple):
    """One layer's part of the memory: views of the keys and values, [B K, S, H].

    With one axis for rows and heads the matrix products read what was just written. Between [B, K, S, H] and a product
    XLA puts a bitcast, fuses the write into that, writes twice, and copies every cache four times at every step.
    """

    keys: Views
    values: Array


class Memory(NamedTuple):
    """All that a step reads of the tokens before it; arrays as in `stack.Cache`."""

    layers: tuple[Kept, ...]
    pos: Array
    segments: Array
    filled: Array


def encodes_once(encoding: Encoding) -> bool:
    """Whether a key looks the same to every query, so that it may be cached encoded."""
    return not encoding.per_query_keys and not encoding.depends_on_length


def unstacked(wiring: Wiring, params: Tree) -> tuple[tuple[Tree, Tree], ...]:
    """Each layer's `(weights, tables)` as arrays of their own: on a CPU views of the stacked ones, not copies."""
    stacked = (params["layers"], divided(wiring, params)[0])

    def layer(number: int, leaf: Array) -> Array:
        if leaf.devices().pop().platform == "cpu" and len(leaf.devices()) == 1:
            return jax.device_put(np.asarray(leaf)[number], may_alias=True)
        return leaf[number]

    return tuple(jax.tree.map(lambda leaf, n=n: layer(n, leaf), stacked) for n in range(wiring.config.layers))


def memory_of(wiring: Wiring, params: Tree, cache: Cache) -> Memory:
    """The cache that a prompt was read into, layer by layer."""
    kinds, (stacked, shared) = wiring.encoding.unique_encodings(), divided(wiring, params)
    ctx = make_context(cache.filled, wiring.config.heads)
    layers = []
    for n in range(wiring.config.layers):
        kind = wiring.encoding.encoding_index(n)
        tables = LayerTables(n, jax.tree.map(lambda t, n=n: t[n], stacked), shared).of(kind)
        keys = kept_views(kinds[kind], tables, cache.keys[n], cache.pos, ctx)
        layers.append(jax.tree.map(rows, Kept(keys, jnp.swapaxes(cache.values[n], 1, 2))))
    return Memory(tuple(layers), cache.pos, cache.segments, cache.filled)


def kept_views(encoding: Encoding, tables: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> Views:
    """Keys as they are cached."""
    if encodes_once(encoding):
        return encode_keys(encoding, tables, k_BSKH, pos_BS, ctx)
    return (jnp.swapaxes(k_BSKH, 1, 2),)


def step(
    wiring: Wiring, params: Tree, layers: tuple[tuple[Tree, Tree], ...], tokens_BT: Array, pos_BT: Array, memory: Memory
) -> tuple[Array, Memory]:
    """Logits float32[B, T, V] of further tokens, and the memory with them in it.

    Args:
        layers: as `unstacked` gives them.
        pos_BT: where each row's tokens stand; rows may be of different lengths.
    """
    config, family = wiring.config, wiring.config.family
    pos_BS = write(memory.pos, pos_BT, memory.filled, axis=1)
    segments_BT = jnp.zeros_like(pos_BT)
    segments_BS = write(memory.segments, segments_BT, memory.filled, axis=1)
    ctx = make_context(jnp.max(pos_BT) + 1, config.heads)
    x_BTD, shared, kept = embedded(wiring, params, tokens_BT, pos_BT), divided(wiring, params)[1], []
    for n, (weights, own) in enumerate(layers):
        encoding, kind = wiring.encoding, wiring.encoding.encoding_index(n)
        encoding, tables = encoding.unique_encodings()[kind], LayerTables(n, own, shared).of(kind)
        q, k, v = family.projections(config, weights, x_BTD)
        new = (kept_views(encoding, tables, k, pos_BT, ctx), jnp.swapaxes(v, 1, 2))
        mine = jax.tree.map(lambda old, x: write(old, rows(x), memory.filled, axis=1), tuple(memory.layers[n]), new)
        queries = Tokens(prepare_queries(encoding, tables, q, pos_BT, ctx), pos_BT, segments_BT)
        views, values = jax.tree.map(lambda x: x.reshape(len(pos_BS), -1, *x.shape[1:]), mine)
        keys = Tokens(read_views(encoding, tables, views, pos_BS, ctx), pos_BS, segments_BS)
        sinks = weights.get("sink_logits")
        out, _ = attend_encoded(
            encoding, wiring.pattern, tables, queries, keys, values, ctx, wiring.kernel, sink_logits=sinks
        )
        x_BTD = family.finish_layer(config, weights, x_BTD, out)
        kept.append(Kept(*mine))
    x_BTD = family.last_norm(config, params, x_BTD)
    filled = memory.filled + tokens_BT.shape[1]
    return head.logits(params, x_BTD), Memory(tuple(kept), pos_BS, segments_BS, filled)


def rows(x_BKSH: Array) -> Array:
    return x_BKSH.reshape(-1, *x_BKSH.shape[2:])


def read_views(encoding: Encoding, tables: Params, cached: Views, pos_BS: Array, ctx: Context) -> Views:
    """What the kernel reads: the cached views, or cached keys encoded under the length of this step."""
    if encodes_once(encoding) or encoding.per_query_keys:
        return cached
    return encode_keys(encoding, tables, jnp.swapaxes(cached[0], 1, 2), pos_BS, ctx)


def write(kept: Array, new: Array, at: Array, *, axis: int) -> Array:
    return lax.dynamic_update_slice_in_dim(kept, new.astype(kept.dtype), at, axis=axis)
