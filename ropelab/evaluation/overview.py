"""A pattern and some encodings in numbers: what each head sees, what layers pass on, what distance does to scores.

    n_hij      how often query i of head h sees key j
    reach_ij   the least number of layers after which token j can have changed query i
    s[n]       the expected score at distance n, and the measured one if there is a model
    lambda_i   2 pi / inv_freq_i, the tokens in which rotary pair i turns once

`draw_overview(**portrait(...)._asdict())` of `ropelab.reporting.charts.overview` draws them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ropelab.attention.formula import Pattern
from ropelab.encodings.base import Encoding
from ropelab.evaluation.attention_taps import measured_scores
from ropelab.evaluation.receipt import rotary_part
from ropelab.evaluation.record import Protocol, Record
from ropelab.evaluation.resolution import ScoresByDistance, attention_resolution, expected_scores
from ropelab.models.module import Model

EXPECTED, MEASURED = "expected, q = k = 1", "measured, mean of layers and heads"
MOST_TOKENS = 512  # drawn in a square: a head's counts and the products of the reach stay under a second

Curves = dict[str, dict[int, ScoresByDistance]]  # by encoding and length


class Overview(NamedTuple):
    """The arrays of one figure.

    Attributes:
        counts_NTT: how often each head's queries see each key.
        reach_TT: layers until a token reaches a query, 0 for the query itself, -1 for never.
        layers: how many were asked about.
        expected, measured: s[n] of each encoding, mean of heads and layers, n = 0, 1, ...
        wavelengths: of the rotary pairs of each encoding that has some, in tokens.
    """

    counts_NTT: np.ndarray
    reach_TT: np.ndarray
    layers: int
    expected: dict[str, np.ndarray]
    measured: dict[str, np.ndarray]
    wavelengths: dict[str, np.ndarray]


def make_overview(
    pattern: Pattern,
    expected: Curves,
    measured: Curves | None = None,
    wavelengths: dict[str, np.ndarray] | None = None,
    *,
    num_heads: int,
    tokens: int,
    layers: int,
) -> Overview:
    """Compute the arrays to draw for a pattern, and the curves of the longest length of each encoding.

    Args:
        num_heads: query heads of the model.
        tokens: queries and keys drawn.
        layers: that pass tokens on.
    """
    counts_NTT = counts_by_head(pattern, num_heads, tokens)
    return Overview(
        counts_NTT,
        layers_until_reached(counts_NTT, layers),
        layers,
        {name: curves[max(curves)].mean for name, curves in expected.items()},
        {name: curves[max(curves)].mean for name, curves in (measured or {}).items()},
        wavelengths or {},
    )


def counts_by_head(pattern: Pattern, num_heads: int, tokens: int) -> np.ndarray:
    """n_hij as i32[N, T, T].

    Raises:
        ValueError: for no head, no token, or more tokens than a square should have.
    """
    if num_heads < 1 or not 1 <= tokens <= MOST_TOKENS:
        raise ValueError(f"{num_heads} heads and {tokens} tokens: draw 1 head at least, and 1 to {MOST_TOKENS} tokens")
    pos_T, heads_N = jnp.arange(tokens, dtype=jnp.int32), jnp.arange(num_heads, dtype=jnp.int32)
    n = pattern.counts(pos_T[:, None], pos_T[None, :], heads_N[:, None, None], num_heads)
    return np.asarray(np.broadcast_to(n, (num_heads, tokens, tokens)), np.int32)


def layers_until_reached(counts_NTT: np.ndarray, layers: int) -> np.ndarray:
    """i32[T, T]: the layers that token j needs to reach query i, -1 where `layers` of them do not suffice.

    Heads mix in every layer, so one layer passes on what any head sees; the residual stream keeps the token itself.
    """
    if layers < 1:
        raise ValueError(f"layers={layers} must be at least 1")
    seen_TT = (counts_NTT > 0).any(axis=0).astype(np.float32)
    reached_TT = np.eye(counts_NTT.shape[-1], dtype=bool)
    needed_TT = np.where(reached_TT, 0, -1).astype(np.int32)
    for layer in range(1, layers + 1):
        further_TT = reached_TT | (seen_TT @ reached_TT > 0)
        needed_TT[further_TT & ~reached_TT] = layer
        reached_TT = further_TT
    return needed_TT


def rotary_wavelengths(encodings: Mapping[str, Encoding], head_dim: int, length: int) -> dict[str, np.ndarray]:
    """2 pi / inv_freq in tokens, of each encoding that rotates, in a context of `length`; inf for a pair at rest."""
    found = {}
    for name, encoding in split_by_encoding(encodings).items():
        rotary = rotary_part(encoding)
        if rotary is not None:
            with np.errstate(divide="ignore"):
                found[name] = 2 * np.pi / np.asarray(rotary.frequencies(head_dim, length)[0], np.float64)
    return found


def split_by_encoding(encodings: Mapping[str, Encoding]) -> dict[str, Encoding]:
    """A schedule over layers as the encodings that its layers run, each by itself."""
    return {
        name if len(encoding.unique_encodings()) == 1 else f"{name}: {kind!r}": kind
        for name, encoding in encodings.items()
        for kind in encoding.unique_encodings()
    }


def expected_curves(encodings: Mapping[str, Encoding], lengths: Sequence[int], head_dim: int, num_heads: int) -> Curves:
    """The expected scores of every distance in texts of several lengths."""
    return {
        name: {T: expected_scores(kind, head_dim, np.arange(T), num_heads=num_heads) for T in lengths}
        for name, kind in split_by_encoding(encodings).items()
    }


def measured_curves(
    models: Mapping[str, Model],
    tokens_T: np.ndarray,
    lengths: Sequence[int],
    sinks: int,
    advance: Callable[[int], object] = lambda tokens: None,
) -> Curves:
    """The measured scores of the first tokens of a text, each length read by itself.

    Args:
        sinks: tokens at the beginning that are left out as keys.
        advance: called with numbers of tokens read.
    """
    found: Curves = {}
    for name, model in models.items():
        found[name] = {}
        for T in lengths:
            found[name][T] = measured_scores(model, tokens_T[None, :T], sinks=sinks)
            advance(T)
    return found


def mean_curves(curves: Curves) -> dict[str, dict[int, np.ndarray]]:
    """The mean of layers and heads, by encoding and length."""
    return {name: {T: curve.mean for T, curve in by_length.items()} for name, by_length in curves.items()}


def resolution_records(expected: Curves, measured: Curves, protocol: Protocol) -> list[Record]:
    """Return the resolution of every mean curve, and of measured ones also the median over layers and heads."""
    records = []
    for curves, metric in ((expected, "expected"), (measured, "measured")):
        for name, by_length in curves.items():
            for length, curve in by_length.items():
                values = {metric: attention_resolution(curve.mean)}
                each = curve.each.reshape(-1, curve.distances.size)
                if metric == "measured":
                    values["median_head"] = float(np.median([attention_resolution(s) for s in each]))
                records += [
                    Record(
                        variant=name, evaluation="resolution", metric=one, length=length, value=value, count=len(each),
                        protocol=protocol,
                    )
                    for one, value in values.items()
                ]  # fmt: skip
    return records
