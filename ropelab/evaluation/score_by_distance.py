"""The scores that a model really computes, by the distance of query and key: s[n] of a text, in each layer and head.

    s[l, h, n] = mean of s_ij over all pairs i - j = n of the text, in layer l and head h

These are the scaled scores that enter the softmax, biases included, of all causal pairs, whether or not the pattern
lets the query see the key; the pattern acts on the hidden states, and on contextual scores. No [T, T] array is held:
a block of scores is folded along its diagonals into O(T) sums.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ropelab.attention.blocks import Formula, Operands, Tokens, block_scores
from ropelab.attention.blockwise import ROW_SCORES
from ropelab.attention.cutting import cut_operands
from ropelab.attention.exchange import Exchange
from ropelab.attention.frames import over_frames
from ropelab.encodings.scoring import context, key_side, query_side
from ropelab.evaluation.resolution import ByDistance
from ropelab.models.chunks import by_tokens
from ropelab.models.compiled import placed
from ropelab.models.config import Wiring
from ropelab.models.module import Model
from ropelab.models.module import Tokens as TokenIds
from ropelab.models.stack import Placed, mix
from ropelab.models.tables import LayerTables, divided, embedded, kinds_of_layers

BLOCK = 256


def measured_scores(
    model: Model, tokens: TokenIds, *, sinks: int = 0, length: int | None = None, block: int = BLOCK
) -> ByDistance:
    """The mean scaled score at distances 0 .. T - 1 - sinks, `each` f64[L, N, T - sinks], over all rows of the tokens.

    Args:
        tokens: integers [B, T], read in one piece from position 0 on.
        sinks: leaves out pairs whose key is among the first so many tokens. On those a trained model parks what
            attention it has to spare, and the largest distances consist of them: in SmolLM2 the mean score at distance
            2047 of 2048 tokens is 2.7, at 2042 -5.1. Over 512 tokens the resolution is 0.014, without four sinks 0.034.
        length: declares a longer context than the tokens show.
        block: queries and keys of a block; contextual encodings take all keys at once, and fewer queries.

    Raises:
        ValueError: for tokens that the model cannot read, a text longer than its encoding has positions, more sinks
            than leave a pair, and a kernel that works on the shards of a sequence.
    """
    if block < 1:
        raise ValueError(f"block={block} must be at least 1")
    if isinstance(model.wiring.kernel, Exchange):
        raise ValueError(f"a text is measured whole, and {model.wiring.kernel!r} wants shards: swap(kernel='auto')")
    tokens_BT = model.checked(tokens)
    B, T = tokens_BT.shape
    if not 0 <= sinks < T:
        raise ValueError(f"sinks={sinks} must lie between 0 and {T - 1}: the text has {T} tokens")
    model.check_positions(T)
    sums_LNT = sums_of_layers(model.wiring, model.params, tokens_BT, sinks, length=length, block=min(block, T))
    distances = np.arange(T - sinks)
    sums_LNn = np.asarray(sums_LNT, np.float64)[..., : T - sinks]
    return ByDistance(distances, sums_LNn / (B * (T - sinks - distances)))


@partial(jax.jit, static_argnums=0, static_argnames=("length", "block"))
def sums_of_layers(
    wiring: Wiring, params: dict[str, Any], tokens_BT: Array, sinks: int | Array, *, length: int | None, block: int
) -> Array:
    """float32[L, N, T]: the model's layers as they run, and the sum of each layer's scores by distance."""
    where = placed(tokens_BT, None, None, length)
    config, (stacked, shared) = wiring.config, divided(wiring, params)

    def body(x_BTD: Array, xs: tuple) -> tuple[Array, Array]:
        layer, number, own = xs
        tables = LayerTables(number, own, shared)
        q, k, v = by_tokens(partial(config.family.projections, config, layer), x_BTD)
        measure = partial(sums_of_kind, wiring, tables, where, block, sinks)
        branches = [partial(measure, kind) for kind in range(len(wiring.encoding.kinds()))]
        one = len(branches) == 1
        sums_NT = branches[0](q, k) if one else lax.switch(kinds_of_layers(wiring)[number], branches, q, k)
        mixed = mix(wiring, tables, q, (k, v), where, where, layer.get("sink_logits"))
        return by_tokens(partial(config.family.finish_layer, config, layer), x_BTD, mixed), sums_NT

    xs = (params["layers"], jnp.arange(config.layers), stacked)
    return lax.scan(body, embedded(wiring, params, tokens_BT, where.pos), xs)[1]


def sums_of_kind(
    wiring: Wiring,
    tables: LayerTables,
    where: Placed,
    block: int,
    sinks: int | Array,
    kind: int,
    q_BTNH: Array,
    k_BTKH: Array,
) -> Array:
    """float32[N, T] under one of the model's encodings."""
    encoding, params = wiring.encoding.kinds()[kind], tables.of(kind)
    ctx = context(where.length, wiring.config.heads)
    queries = Tokens(query_side(encoding, params, q_BTNH, where.pos, ctx), where.pos, None)
    keys = Tokens(key_side(encoding, params, k_BTKH, where.pos, ctx), where.pos, None)
    nothing = jnp.zeros((*keys.views[0].shape[:3], 0))
    operands = Operands(params, queries, keys, nothing, ctx.length, ctx.heads)
    return sums_by_distance(Formula(encoding, wiring.pattern, ctx.num_heads), operands, block, sinks)


def sums_by_distance(formula: Formula, operands: Operands, block: int, sinks: int | Array) -> Array:
    """float32[N, T]: the scores of all causal pairs from key `sinks` on, added up by distance."""
    T, N = operands.queries.pos.shape[1], operands.heads.shape[0]
    rows, columns = block, block
    if formula.encoding.contextual:
        rows, columns = min(block, max(1, ROW_SCORES // T)), T
    cut = cut_operands(operands, rows, columns)
    blocks, before = cut.queries.pos.shape[0], rows + columns  # distances below 0 that a block touches

    def column(c: Array, total: Array, row: Array, queries: Tokens) -> Array:
        keys = jax.tree.map(lambda x: x[c], cut.keys)
        s_BNTS = scores_of_block(formula, cut, queries, keys)
        i_T, j_S = row * rows + jnp.arange(rows), c * columns + jnp.arange(columns)
        counted = (j_S >= sinks) & (j_S <= i_T[:, None]) & (i_T < T)[:, None]
        # chosen, not multiplied: keys ahead of the query grow under xPos
        sums = along_diagonals(jnp.sum(jnp.where(counted, s_BNTS, 0.0), axis=0))
        start = row * rows - c * columns - (columns - 1) + before
        there = lax.dynamic_slice_in_dim(total, start, sums.shape[1], axis=1)
        return lax.dynamic_update_slice_in_dim(total, there + sums, start, axis=1)

    def line(total: Array, xs: tuple[Array, Tokens]) -> tuple[Array, None]:
        row, queries = xs
        needed = jnp.minimum((row * rows + rows - 1) // columns + 1, cut.keys.pos.shape[0])
        return lax.fori_loop(0, needed, partial(column, row=row, queries=queries), total), None

    total = jnp.zeros((N, before + blocks * rows + columns), jnp.float32)
    total, _ = lax.scan(line, total, (jnp.arange(blocks), cut.queries))
    return total[:, before : before + T]


def scores_of_block(formula: Formula, operands: Operands, queries: Tokens, keys: Tokens) -> Array:
    """s_BNTS of one block, under a framed encoding each query's in its own frame."""
    if not formula.encoding.framed:
        return block_scores(formula, operands, queries, keys).astype(jnp.float32)
    B, N, T, _ = queries.views[0].shape

    def step(kept: Array, frame: Array, here_B1T: Array) -> Array:
        s_BNTS = block_scores(formula, operands, queries, keys, frame).astype(jnp.float32)
        return jnp.where(here_B1T[..., None], s_BNTS, kept)

    nothing = jnp.zeros((B, N, T, keys.pos.shape[1]), jnp.float32)
    return over_frames(formula.encoding.frame_of(queries.pos), nothing, step)


def along_diagonals(s_NTS: Array) -> Array:
    """[N, T + S - 1]: sums over i - j = d - (S - 1), d = 0, 1, ...: each row shifted by its number, all rows added."""
    N, T, S = s_NTS.shape
    wide = jnp.pad(s_NTS[:, :, ::-1], ((0, 0), (0, 0), (0, T))).reshape(N, T * (S + T))
    return jnp.sum(wide[:, :-T].reshape(N, T, S + T - 1), axis=1)
