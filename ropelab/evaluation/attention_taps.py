"""Taps: scores and weights by distance, the share of the sink, entropy, and single queries.

    ScoreByDistance   s[n]  = mean of s_ij over the pairs i - j = n           of the softmax's input, hidden pairs too
    SeenByDistance    s[n]  = the same over the pairs that the pattern shows
    MassByDistance    a[n]  = mean of p_ij over the pairs i - j = n           sums to 1 over n for a query that sees all
    SinkMass          mean over queries of sum_{j < sinks} p_ij
    Entropy           H_i   = -sum_j p_ij log p_ij, in nats, of each query    log(i + 1) where all keys weigh the same
    Queries           s_ij and p_ij of a few queries i, whole

Each is `f64[L, B, N, ...]`: layers, texts, heads. A sink is what a trained model parks spare attention on, its first
few tokens (Xiao et al., arXiv 2309.17453).
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ropelab.evaluation.capture import BLOCK, Block, Tap, capture
from ropelab.evaluation.resolution import ScoresByDistance
from ropelab.models.module import Model
from ropelab.models.module import Tokens as TokenIds
from ropelab.spec import at_least, require, spec


@spec
class DistanceTap(Tap):
    """Means over the pairs of each distance 0 .. T - 1 - sinks.

    Attributes:
        sinks: leaves out pairs whose key is among the first so many tokens.
    """

    sinks: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, self, "sinks")

    def values(self, block: Block) -> Array:
        """Return the values to average, [B, N, T, S]."""
        raise NotImplementedError

    def begin(self, B: int, N: int, T: int) -> Array:
        return zero_sums(self, B, N, T)

    def add(self, kept: Array, block: Block) -> Array:
        # chosen, not multiplied: keys ahead of the query grow under xPos
        counted = block.causal & (block.keys >= self.sinks)
        return add_to_diagonals(kept, jnp.where(counted, self.values(block), 0.0), block)

    def finish(self, kept: np.ndarray, T: int) -> np.ndarray:
        pairs = T - self.sinks - np.arange(T - self.sinks)
        return kept[..., : T - self.sinks] / pairs


@spec
class ScoreByDistance(DistanceTap):
    """s[n], `f64[L, B, N, T - sinks]`, whether or not the pattern lets the query see the key."""

    weighs: ClassVar[bool] = False

    def values(self, block: Block) -> Array:
        return block.scores


@spec
class SeenByDistance(Tap):
    """s[n] of the pairs that the pattern shows, `f64[L, B, N, T - sinks]`; NaN at a distance that no query sees.

    Attributes:
        sinks: leaves out pairs whose key is among the first so many tokens.
    """

    sinks: int = 0
    weighs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, self, "sinks")

    def begin(self, B: int, N: int, T: int) -> tuple[Array, Array]:
        return zero_sums(self, B, N, T), zero_sums(self, B, N, T)

    def add(self, kept: tuple[Array, Array], block: Block) -> tuple[Array, Array]:
        counted = block.seen & (block.keys >= self.sinks)
        sums = add_to_diagonals(kept[0], jnp.where(counted, block.scores, 0.0), block)
        return sums, add_to_diagonals(kept[1], counted.astype(jnp.float32), block)

    def finish(self, kept: tuple[np.ndarray, np.ndarray], T: int) -> np.ndarray:
        sums, pairs = (part[..., : T - self.sinks] for part in kept)
        return np.divide(sums, pairs, out=np.full_like(sums, np.nan), where=pairs > 0)


@spec
class MassByDistance(DistanceTap):
    """a[n], `f64[L, B, N, T - sinks]`."""

    def values(self, block: Block) -> Array:
        assert block.weights is not None
        return block.weights


@spec
class SinkMass(Tap):
    """The share of attention that the first tokens get, `f64[L, B, N]`, of the queries after them.

    Attributes:
        sinks: how many tokens that are.
    """

    sinks: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "sinks")

    def begin(self, B: int, N: int, T: int) -> Array:
        require(self.sinks < T, self, f"sinks={self.sinks} must lie between 1 and {T - 1}: the text has {T} tokens")
        return jnp.zeros((B, N), jnp.float32)

    def add(self, kept: Array, block: Block) -> Array:
        assert block.weights is not None
        counted = block.causal & (block.keys < self.sinks) & (block.queries >= self.sinks)[:, None]
        return kept + jnp.sum(jnp.where(counted, block.weights, 0.0), axis=(2, 3))

    def finish(self, kept: np.ndarray, T: int) -> np.ndarray:
        return kept / (T - self.sinks)


@spec
class Entropy(Tap):
    """H_i in nats, `f64[L, B, N, T]`, of every query; a key that is counted twice is one key."""

    def begin(self, B: int, N: int, T: int) -> Array:
        return jnp.zeros((B, N, T), jnp.float32)

    def add(self, kept: Array, block: Block) -> Array:
        assert block.weights is not None
        p = jnp.where(block.causal, block.weights, 0.0)
        own = jnp.sum(jax.scipy.special.entr(p), axis=-1)
        rows, T = own.shape[-1], kept.shape[-1]
        padded = jnp.pad(kept, ((0, 0), (0, 0), (0, rows)))
        there = lax.dynamic_slice_in_dim(padded, block.corner[0], rows, axis=2)
        return lax.dynamic_update_slice_in_dim(padded, there + own, block.corner[0], axis=2)[..., :T]

    def finish(self, kept: np.ndarray, T: int) -> np.ndarray:
        return kept


class Rows(NamedTuple):
    """Single queries: `scores` and `weights`, `f64[L, B, N, queries, T]`, 0 at keys after the query."""

    scores: np.ndarray
    weights: np.ndarray


@spec
class Queries(Tap):
    """All scores and weights of a few queries.

    Attributes:
        at: which tokens of the text ask.
    """

    at: tuple[int, ...]

    def begin(self, B: int, N: int, T: int) -> tuple[Array, Array]:
        ok = all(0 <= i < T for i in self.at)
        require(bool(self.at) and ok, self, f"at={self.at} must name tokens 0 to {T - 1} of the text")
        zeros = jnp.zeros((B, N, len(self.at), T), jnp.float32)
        return zeros, zeros

    def add(self, kept: tuple[Array, Array], block: Block) -> tuple[Array, Array]:
        assert block.weights is not None
        return self.placed(kept[0], block.scores, block), self.placed(kept[1], block.weights, block)

    def placed(self, kept: Array, found: Array, block: Block) -> Array:
        asked = jnp.asarray(self.at)[:, None] == block.queries  # [queries, T]
        found = jnp.where(block.causal, found, 0.0)
        # chosen by where, not by a product with 0 and 1: scores after the query may be infinite
        own = jnp.sum(jnp.where(asked[:, :, None], found[:, :, None], 0.0), axis=3)
        columns, T = own.shape[-1], kept.shape[-1]
        padded = jnp.pad(kept, ((0, 0), (0, 0), (0, 0), (0, columns)))
        there = lax.dynamic_slice_in_dim(padded, block.corner[1], columns, axis=3)
        return lax.dynamic_update_slice_in_dim(padded, there + own, block.corner[1], axis=3)[..., :T]

    def finish(self, kept: Any, T: int) -> Rows:
        return Rows(*kept)


def zero_sums(tap: DistanceTap | SeenByDistance, B: int, N: int, T: int) -> Array:
    """Zeros [B, N, T], if the sinks leave a pair of them."""
    require(tap.sinks < T, tap, f"sinks={tap.sinks} must lie between 0 and {T - 1}: the text has {T} tokens")
    return jnp.zeros((B, N, T), jnp.float32)


def add_to_diagonals(kept_BNT: Array, x_BNTS: Array, block: Block) -> Array:
    """The sums by distance with those of a block's pairs, [B, N, T]."""
    sums, (rows, columns) = shift_to_diagonals(x_BNTS), block.causal.shape
    room = rows + columns  # distances that a block touches outside 0 .. T - 1
    padded = jnp.pad(kept_BNT, ((0, 0), (0, 0), (room, room)))
    start = block.corner[0] - block.corner[1] - (columns - 1) + room
    there = lax.dynamic_slice_in_dim(padded, start, sums.shape[-1], axis=2)
    padded = lax.dynamic_update_slice_in_dim(padded, there + sums, start, axis=2)
    return padded[:, :, room : room + kept_BNT.shape[2]]


def shift_to_diagonals(s_BNTS: Array) -> Array:
    """[B, N, T + S - 1]: sums over i - j = d - (S - 1), d = 0, 1, ...: each row shifted by its number, rows added."""
    B, N, T, S = s_BNTS.shape
    wide = jnp.pad(s_BNTS[..., ::-1], ((0, 0), (0, 0), (0, 0), (0, T))).reshape(B, N, T * (S + T))
    return jnp.sum(wide[..., :-T].reshape(B, N, T, S + T - 1), axis=2)


def measured_scores(
    model: Model, tokens: TokenIds, *, sinks: int = 0, length: int | None = None, block: int = BLOCK
) -> ScoresByDistance:
    """Return the mean scaled score at distances 0 .. T - 1 - sinks, `each` f64[L, N, T - sinks], over all rows.

    s[l, h, n] is the mean of s_ij over all causal pairs i - j = n in layer l and head h. These are the scores that
    enter the softmax, biases included, whether or not the pattern lets the query see the key.

    Args:
        tokens: integers [B, T], read in one piece from position 0 on.
        sinks: leaves out pairs whose key is among the first so many tokens. On those a trained model parks what
            attention it has to spare, and the largest distances consist of them: in SmolLM2 the mean score at distance
            2047 of 2048 tokens is 2.7, at 2042 -5.1. Over 512 tokens the resolution is 0.014, without four sinks 0.034.
        length: declares a longer context than the tokens show.
        block: queries and keys of a block; contextual encodings take all keys at once, and fewer queries.

    Raises:
        ValueError: as `record`, and for more sinks than leave a pair.
    """
    found = capture(model, tokens, {"s": ScoreByDistance(sinks=sinks)}, length=length, block=block)["s"]
    return ScoresByDistance(np.arange(found.shape[-1]), found.mean(axis=1))
