"""Each layer's scores and weights as whole squares in float64: what no program for long texts may hold."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from ropelab.attention import attend
from ropelab.encodings.scoring import scores, select_encoding
from ropelab.models.module import Model


class Square(NamedTuple):
    """One layer: s_BNTT of all pairs and p_BNTT, 0 where the pattern hides the key."""

    s: np.ndarray
    p: np.ndarray


def squares(model: Model, tokens_BT: np.ndarray, length: int) -> Iterator[Square]:
    """Layer by layer, by the public functions of the encoding and of attention alone."""
    wiring, params, (_, T) = model.wiring, model.params, tokens_BT.shape
    config, family = wiring.config, wiring.config.family
    pos = np.arange(T, dtype=np.int32)
    x_BTD = params["embedding"][tokens_BT]
    for number in range(config.layers):
        layer = jax.tree.map(lambda leaf, number=number: leaf[number], params["layers"])
        kind, _ = select_encoding(wiring.encoding, {}, number)
        tables = params.get("encoding", {}).get(str(wiring.encoding.unique_encodings().index(kind)), {})
        if kind.per_layer:
            tables = jax.tree.map(lambda leaf, number=number: leaf[number], tables)
        q, k, v = family.projections(config, layer, x_BTD)
        s_BNTS = np.asarray(scores(kind, q, k, pos, pos, params=tables, length=length), np.float64)
        yield Square(s_BNTS, softmax(s_BNTS, counts(model, T)))
        mixed, _ = attend(
            q, k, v, encoding=kind, pattern=wiring.pattern, params=tables, length=length, kernel="dense"
        )  # fmt: skip
        x_BTD = family.finish_layer(config, layer, x_BTD, mixed)


def counts(model: Model, T: int) -> np.ndarray:
    """n_NTT of the model's pattern."""
    N, pos = model.config.heads, np.arange(T)
    n = model.wiring.pattern.counts(pos[:, None], pos[None, :], np.arange(N)[:, None, None], N)
    return np.broadcast_to(np.asarray(n, np.float64), (N, T, T))


def softmax(s_BNTT: np.ndarray, n_NTT: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        e = np.where(n_NTT > 0, n_NTT * np.exp(np.where(n_NTT > 0, s_BNTT, 0.0)), 0.0)
    return e / e.sum(-1, keepdims=True)
