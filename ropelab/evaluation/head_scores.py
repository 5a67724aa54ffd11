"""Two numbers for each head: does position change what it prefers, and does it notice a step of one position?

A query is moved away from its keys, n = 0 .. W - 1 tokens, contents unchanged; s_a(n) is its score with key a.

    semantic stability        1 - P( s_a(n) - s_b(n) has another sign than at n = 0 ),    n uniform in [0, W)
    positional sensitivity    mean over n < W - 1 of | s_a(n + 1) - s_a(n) | / sqrt( sum_r |q_r|^2 |k_r|^2 / H ),

r over the H / 2 pairs of a rotary encoding, whose amplitude, squared, multiplies the root. Averages over sampled
queries and keys. Source: Wu, Du and Peng, arXiv 2609.39929, whose rope-profiler 0.1.0 takes the probability from a
normal distribution of the difference's mean and variance over n; that is `normal`, and `counted` is the share itself.
Here the scores are those of any encoding, computed as attention computes them, so that biases and decays count. What an
encoding without rotary pairs is divided by is the same root, the pairs being halves of a head.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ropelab.encodings.base import Encoding, Params
from ropelab.encodings.rotary import Rotary
from ropelab.encodings.scoring import scores, select_encoding
from ropelab.models.chunks import by_tokens
from ropelab.models.compiled import placed
from ropelab.models.config import Wiring
from ropelab.models.module import Model
from ropelab.models.module import Tokens as TokenIds
from ropelab.models.stack import mix
from ropelab.models.tables import LayerTables, divided, embedded


class HeadScores(NamedTuple):
    """Each `f64[L, N]`: layers and heads.

    Attributes:
        normal, counted: semantic stability, two ways.
        sensitivity: positional sensitivity.
    """

    normal: np.ndarray
    counted: np.ndarray
    sensitivity: np.ndarray


def head_scores(
    model: Model,
    tokens: TokenIds,
    *,
    window: int | None = None,
    queries: int = 16,
    keys: int = 16,
    seed: int = 0,
) -> HeadScores:
    """Both numbers of every head, from queries and keys that the model makes of a text.

    Args:
        tokens: integers [B, T], read in one piece; of each row `queries` tokens are drawn, and for each of those
            `keys` tokens at or before it.
        window: W; the trained length if not given.
        keys: an even number: two and two of them are compared.

    Raises:
        ValueError: for contextual encodings, whose scores depend on all keys in between, a text that is too short,
            and numbers that cannot be.
    """
    tokens_BT = model.checked(tokens)
    B, T = tokens_BT.shape
    window = window or model.config.trained_length
    if window < 2 or queries < 1 or keys < 2 or keys % 2:
        raise ValueError(f"window={window} must be 2 at least, queries={queries} 1, and keys={keys} an even number")
    if not keys < T:
        raise ValueError(f"the text has {T} tokens; queries with keys={keys} before them need {keys + 1} at least")
    model.check_positions(max(T, window))
    encoding = model.wiring.encoding
    if any(kind.needs_full_rows for kind in encoding.unique_encodings()):
        raise ValueError(f"{encoding!r} scores a pair by what lies between; a query cannot be moved away alone")
    rng = np.random.default_rng(seed)
    asked_BQ = rng.integers(keys, T, (B, queries))
    known_BQS = np.stack([[rng.choice(t + 1, keys, replace=False) for t in row] for row in asked_BQ])
    q_LBQNH, k_LBQSKH = sample_queries_and_keys(model.wiring, model.params, tokens_BT, asked_BQ, known_BQS)
    found = [
        score_layer(model, layer, q.reshape(-1, *q.shape[2:]), k.reshape(-1, *k.shape[2:]), window)
        for layer, (q, k) in enumerate(zip(q_LBQNH, k_LBQSKH, strict=True))
    ]
    return HeadScores(*(np.stack(part) for part in zip(*found, strict=True)))


def score_layer(model: Model, layer: int, q_QNH: Array, k_QSKH: Array, window: int) -> tuple[np.ndarray, ...]:
    """`(normal, counted, sensitivity)`, each f64[N], of one layer."""
    kind, _ = select_encoding(model.wiring.encoding, {}, layer)
    params = layer_params(model, layer)
    curves_QNWS = np.asarray(scores_by_distance(kind, params, q_QNH, k_QSKH, window), np.float64)
    norms_QNS = pair_norms(kind, np.asarray(q_QNH, np.float64), np.asarray(k_QSKH, np.float64), window)
    return *compute_stability(curves_QNWS), compute_sensitivity(curves_QNWS, norms_QNS)


def layer_params(model: Model, layer: int) -> Params:
    """The learned tables of the encoding of one layer."""
    stacked, shared = divided(model.wiring, model.params)
    own = jax.tree.map(lambda leaf: leaf[layer], stacked)
    return LayerTables(layer, own, shared).of(model.wiring.encoding.encoding_index(layer))


def scores_by_distance(encoding: Encoding, params: Params, q_QNH: Array, k_QSKH: Array, window: int) -> Array:
    """s_QNWS: each query at positions 0 .. W - 1, its keys all at position 0."""
    away, stays = jnp.arange(window, dtype=jnp.int32), jnp.zeros(k_QSKH.shape[1], jnp.int32)

    def one(query: tuple[Array, Array]) -> Array:
        q_NH, k_SKH = query
        q_BTNH = jnp.broadcast_to(q_NH, (1, window, *q_NH.shape))
        return scores(encoding, q_BTNH, k_SKH[None], away, stays, params=params, length=window)[0]

    return jax.jit(lambda: lax.map(one, (q_QNH, k_QSKH)))()


def compute_stability(curves_QNWS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(normal, counted)`, f64[N] each; pairs of keys with equal scores at n = 0 have no order and do not count."""
    apart_QNWP = curves_QNWS[..., 0::2] - curves_QNWS[..., 1::2]
    order_QNP = np.sign(apart_QNWP[:, :, 0])
    along_QNWP = apart_QNWP * order_QNP[:, :, None]
    mean, deviation = along_QNWP.mean(axis=2), along_QNWP.std(axis=2)
    certain = np.where(mean < 0, -np.inf, np.inf)
    z = np.divide(mean, deviation, out=certain, where=deviation > 0)
    normal_QNP = np.asarray(jax.scipy.special.ndtr(z), np.float64)
    # one that changes its mind where the scores are equal has not changed it
    counted_QNP = np.mean(along_QNWP >= 0, axis=2)
    return valid_mean(normal_QNP, order_QNP != 0), valid_mean(counted_QNP, order_QNP != 0)


def compute_sensitivity(curves_QNWS: np.ndarray, norms_QNS: np.ndarray) -> np.ndarray:
    """f64[N]."""
    steps_QNS = np.abs(np.diff(curves_QNWS, axis=2)).mean(axis=2)
    real = norms_QNS > 0
    return valid_mean(np.divide(steps_QNS, norms_QNS, out=np.zeros_like(steps_QNS), where=real), real)


def valid_mean(values_QNX: np.ndarray, valid_QNX: np.ndarray) -> np.ndarray:
    """f64[N]: the mean of what is valid, NaN where nothing is."""
    count = valid_QNX.sum(axis=(0, 2))
    total = np.where(valid_QNX, values_QNX, 0.0).sum(axis=(0, 2))
    return np.where(count > 0, total / np.maximum(count, 1), math.nan)


def pair_norms(encoding: Encoding, q_QNH: np.ndarray, k_QSKH: np.ndarray, window: int) -> np.ndarray:
    """amplitude^2 sqrt( sum_r |q_r|^2 |k_r|^2 / H ), f64[Q, N, S]."""
    N, H, K = q_QNH.shape[1], q_QNH.shape[2], k_QSKH.shape[2]
    turned, amplitude, interleaved = H // 2 * 2, 1.0, False
    if isinstance(encoding, Rotary):
        turned, interleaved = encoding.rotary_dim or H, encoding.pairing == "interleaved"
        amplitude = float(encoding.frequencies(H, window)[1])
    q_QNR, k_QSKR = (pair_squares(x[..., :turned], interleaved) for x in (q_QNH, k_QSKH))
    k_QSNR = np.repeat(k_QSKR, N // K, axis=2)
    return amplitude**2 * np.sqrt(np.einsum("QNR,QSNR->QNS", q_QNR, k_QSNR) / H)


def pair_squares(x: np.ndarray, interleaved: bool) -> np.ndarray:
    """|x_r|^2 of each pair r."""
    pairs = x.reshape(*x.shape[:-1], -1, 2) if interleaved else np.stack(np.split(x, 2, axis=-1), axis=-1)
    return np.sum(pairs**2, axis=-1)


def sample_queries_and_keys(
    wiring: Wiring, params: dict[str, Any], tokens_BT: Array, asked_BQ: np.ndarray, known_BQS: np.ndarray
) -> tuple[Array, Array]:
    """Queries and keys of some tokens in every layer, before they are encoded: [L, B, Q, N, H], [L, B, Q, S, K, H]."""

    def run(params: dict[str, Any], tokens_BT: Array) -> tuple[Array, Array]:
        where = placed(tokens_BT, None, None, None)
        config, (stacked, shared) = wiring.config, divided(wiring, params)
        rows = jnp.arange(tokens_BT.shape[0])[:, None]

        def body(x_BTD: Array, xs: tuple) -> tuple[Array, tuple[Array, Array]]:
            layer, number, own = xs
            q, k, v = by_tokens(lambda x: config.family.projections(config, layer, x), x_BTD)
            taken = q[rows, asked_BQ], k[rows[..., None], known_BQS]
            mixed = mix(wiring, LayerTables(number, own, shared), q, (k, v), where, where, layer.get("sink_logits"))
            return by_tokens(lambda x, m: config.family.finish_layer(config, layer, x, m), x_BTD, mixed), taken

        xs = (params["layers"], jnp.arange(config.layers), stacked)
        return lax.scan(body, embedded(wiring, params, tokens_BT, where.pos), xs)[1]

    return jax.jit(run)(params, tokens_BT)
