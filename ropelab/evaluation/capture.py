"""Taps: what a model's attention computes on a text, folded into sums by name, without touching the model's code.

    record(model, tokens, {"scores": ScoreByDistance(), "entropy": Entropy()})

A tap sees every block of scores of every layer, in float32, and keeps what it wants of them:

    s_ij                                      the scaled score that enters the softmax, biases included
    p_ij = n_ij exp(s_ij) / sum_j n_ij exp(s_ij)    the weight, 0 where the pattern hides the key

No [T, T] array is held: a block is folded into the tap's sums and forgotten, so that memory grows as the sums do, O(T)
for all taps of `attention_taps`. Weights need their denominators first, so with a tap that wants them each block is
computed twice.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ropelab.attention.exchanges import Exchange
from ropelab.attention.formula import Formula, Operands, Tokens, add_log_counts, count_block, score_block
from ropelab.attention.kernels.blocking import cut_operands, loop_over_groups
from ropelab.attention.kernels.blockwise import ROW_SCORES
from ropelab.encodings.scoring import make_context, prepare_keys, prepare_queries
from ropelab.models.chunks import by_tokens
from ropelab.models.compiled import placed
from ropelab.models.config import Wiring
from ropelab.models.finite import check_finite
from ropelab.models.module import Model
from ropelab.models.module import Tokens as TokenIds
from ropelab.models.stack import Placed, mix
from ropelab.models.tables import LayerTables, divided, embedded, kinds_of_layers
from ropelab.spec import Spec

BLOCK = 256


class Block(NamedTuple):
    """Some queries against some keys of one layer.

    Attributes:
        scores: s_BNTS, before anything is hidden.
        weights: p_BNTS, or None where no tap wants them.
        queries, keys: i32[T] and i32[S], which tokens of the text these are.
        causal: bool[T, S], both are tokens of the text and the key is not after the query.
        seen: bool[B, N, T, S], the pattern shows the query the key.
        corner: `(row, column)` of the block's first query and key, the numbers of two tokens.
    """

    scores: Array
    weights: Array | None
    queries: Array
    keys: Array
    causal: Array
    seen: Array
    corner: tuple[Array, Array]


class Tap(Spec):
    """A statistic of attention, accumulated block by block. A frozen value: the same tap compiles once.

    Attributes:
        weighs: whether it reads `Block.weights`.
    """

    weighs: ClassVar[bool] = True

    def begin(self, B: int, N: int, T: int) -> Any:
        """The sums of no block, for B texts of T tokens and N heads."""
        raise NotImplementedError

    def add(self, kept: Any, block: Block) -> Any:
        """The sums with one block more. Blocks come row by row, each pair of tokens in exactly one of them; blocks
        that are fully masked are skipped."""
        raise NotImplementedError

    def finish(self, kept: Any, T: int) -> Any:
        """Return the result of `capture`, from the sums of all layers as float64 [L, ...]."""
        raise NotImplementedError


class CaptureSettings(NamedTuple):
    """Static settings of a captured run, part of the key of the compiled program."""

    taps: tuple[Tap, ...]
    block: int


def capture(
    model: Model, tokens: TokenIds, taps: Mapping[str, Tap], *, length: int | None = None, block: int = BLOCK
) -> dict[str, Any]:
    """Run texts through a model; return the result of each tap by its name.

    Args:
        tokens: integers [B, T], read in one piece from position 0 on.
        length: declares a longer context than the tokens show.
        block: queries and keys of a block; contextual encodings take all keys at once, and fewer queries.

    Raises:
        ValueError: for tokens that the model cannot read, a text longer than its encoding has positions, no tap, and
            a kernel that works on the shards of a sequence.
        NonFiniteError: if the hidden states after the last layer are not finite.
    """
    if block < 1:
        raise ValueError(f"block={block} must be at least 1")
    if not taps:
        raise ValueError("no tap is given; give at least one, as {'scores': ScoreByDistance()}")
    if isinstance(model.wiring.kernel, Exchange):
        raise ValueError(f"a text is measured whole, and {model.wiring.kernel!r} wants shards: swap(kernel='auto')")
    tokens_BT = model.checked(tokens)
    T = tokens_BT.shape[1]
    model.check_positions(T)
    side = CaptureSettings(tuple(taps.values()), min(block, T))
    kept, finite = capture_layers(model.wiring, side, model.params, tokens_BT, length=length)
    check_finite(model, np.where(finite, 0, np.nan), tokens_BT, "hidden states")
    sums = jax.tree.map(lambda x: np.asarray(x, np.float64), kept)
    return {name: tap.finish(own, T) for (name, tap), own in zip(taps.items(), sums, strict=True)}


@partial(jax.jit, static_argnums=(0, 1), static_argnames="length")
def capture_layers(
    wiring: Wiring, side: CaptureSettings, params: dict[str, Any], tokens_BT: Array, *, length: int | None
) -> tuple[tuple[Any, ...], Array]:
    """The sums of each tap, [L, ...], and whether the last hidden states are finite.

    The model's layers as they run, and their scores once more for the taps.
    """
    where = placed(tokens_BT, None, None, length)
    config, (stacked, shared) = wiring.config, divided(wiring, params)

    def body(x_BTD: Array, xs: tuple) -> tuple[Array, tuple[Any, ...]]:
        layer, number, own = xs
        tables, sinks = LayerTables(number, own, shared), layer.get("sink_logits")
        q, k, v = by_tokens(partial(config.family.projections, config, layer), x_BTD)
        tap = partial(capture_encoding, wiring, side, tables, where, sinks)
        branches = [partial(tap, kind) for kind in range(len(wiring.encoding.unique_encodings()))]
        one = len(branches) == 1
        kept = branches[0](q, k) if one else lax.switch(kinds_of_layers(wiring)[number], branches, q, k)
        mixed = mix(wiring, tables, q, (k, v), where, where, sinks)
        return by_tokens(partial(config.family.finish_layer, config, layer), x_BTD, mixed), kept

    xs = (params["layers"], jnp.arange(config.layers), stacked)
    x_BTD, sums = lax.scan(body, embedded(wiring, params, tokens_BT, where.pos), xs)
    return sums, jnp.all(jnp.isfinite(x_BTD))


def capture_encoding(
    wiring: Wiring,
    side: CaptureSettings,
    tables: LayerTables,
    where: Placed,
    sink_logits_N: Array | None,
    kind: int,
    q_BTNH: Array,
    k_BTKH: Array,
) -> tuple[Any, ...]:
    """One layer's sums under one of the model's encodings."""
    encoding, params = wiring.encoding.unique_encodings()[kind], tables.of(kind)
    ctx = make_context(where.length, wiring.config.heads)
    queries = Tokens(prepare_queries(encoding, params, q_BTNH, where.pos, ctx), where.pos, None)
    keys = Tokens(prepare_keys(encoding, params, k_BTKH, where.pos, ctx), where.pos, None)
    nothing = jnp.zeros((*keys.views[0].shape[:3], 0))
    operands = Operands(params, queries, keys, nothing, ctx.length, ctx.heads)
    return capture_blocks(Formula(encoding, wiring.pattern, ctx.num_heads), operands, side, sink_logits_N)


def capture_blocks(
    formula: Formula, operands: Operands, side: CaptureSettings, sink_logits_N: Array | None
) -> tuple[Any, ...]:
    """Every block at or below the diagonal through every tap, a row of blocks after another."""
    (B, T), N = operands.queries.pos.shape, operands.heads.shape[0]
    rows, columns = side.block, side.block
    if formula.encoding.needs_full_rows:
        rows, columns = min(rows, max(1, ROW_SCORES // T)), T
    cut = cut_operands(operands, rows, columns)
    weighs = any(tap.weighs for tap in side.taps)

    def scores_at(c: Array, queries: Tokens) -> tuple[Array, Array]:
        keys = jax.tree.map(lambda x: x[c], cut.keys)
        s_BNTS = compute_block_scores(formula, cut, queries, keys)
        return s_BNTS, add_log_counts(s_BNTS, count_block(formula, cut, queries, keys))

    def row(kept: tuple[Any, ...], xs: tuple[Array, Tokens]) -> tuple[tuple[Any, ...], None]:
        r, queries = xs
        needed = jnp.minimum((r * rows + rows - 1) // columns + 1, cut.keys.pos.shape[0])
        i_T = r * rows + jnp.arange(rows)
        lse_BNT = None
        if weighs:
            first = (
                jnp.full((B, N, rows), -jnp.inf) if sink_logits_N is None else
                jnp.broadcast_to(sink_logits_N.astype(jnp.float32)[None, :, None], (B, N, rows))
            )  # fmt: skip
            lse_BNT = lax.fori_loop(
                0, needed, lambda c, lse: jnp.logaddexp(lse, jax.nn.logsumexp(scores_at(c, queries)[1], axis=-1)), first
            )

        def column(c: Array, kept: tuple[Any, ...]) -> tuple[Any, ...]:
            s_BNTS, hidden_BNTS = scores_at(c, queries)
            j_S = c * columns + jnp.arange(columns)
            causal = (j_S <= i_T[:, None]) & (i_T < T)[:, None]
            p_BNTS = None if lse_BNT is None else block_weights(hidden_BNTS, lse_BNT)
            seen = jnp.broadcast_to(jnp.isfinite(hidden_BNTS), s_BNTS.shape) & causal
            block = Block(s_BNTS, p_BNTS, i_T, j_S, causal, seen, (r * rows, c * columns))
            return tuple(tap.add(own, block) for tap, own in zip(side.taps, kept, strict=True))

        return lax.fori_loop(0, needed, column, kept), None

    kept = tuple(tap.begin(B, N, T) for tap in side.taps)
    return lax.scan(row, kept, (jnp.arange(cut.queries.pos.shape[0]), cut.queries))[0]


def block_weights(hidden_BNTS: Array, lse_BNT: Array) -> Array:
    """p_BNTS from s + log n and its logarithm of a sum; a query that sees nothing gives nothing."""
    finite = jnp.where(jnp.isfinite(lse_BNT), lse_BNT, 0.0)
    return jnp.exp(hidden_BNTS - finite[..., None])


def compute_block_scores(formula: Formula, operands: Operands, queries: Tokens, keys: Tokens) -> Array:
    """s_BNTS of one block, under a framed encoding each query's in its own frame."""
    if not formula.encoding.per_query_keys:
        return score_block(formula, operands, queries, keys).astype(jnp.float32)
    B, N, T, _ = queries.views[0].shape

    def step(kept: Array, frame: Array, here_B1T: Array) -> Array:
        s_BNTS = score_block(formula, operands, queries, keys, frame).astype(jnp.float32)
        return jnp.where(here_B1T[..., None], s_BNTS, kept)

    nothing = jnp.zeros((B, N, T, keys.pos.shape[1]), jnp.float32)
    return loop_over_groups(formula.encoding.query_group(queries.pos), nothing, step)
