"""Attention resolution, one number for how clearly attention tells near from far; and the scores an encoding expects.

    R(s) = sum_{n=0..N} e^s[n] (e^s[n] - e^s[n+1]) / (sum_{n=0..N} e^s[n])^2

s[n] is the expected attention score of two tokens n apart. R is high where scores fall with the distance, near 0 where
they are flat, and oscillations count against it, because a step up subtracts. Source: Sun et al., arXiv 2212.10554; its
code has none. R depends on how scores are scaled: here they are those of the softmax, q . k / sqrt(H). It is less than
1, being less than the sum of the squares of a distribution. N = len(s) - 2, because the last term needs s[N + 1].
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ropelab.encodings.base import Encoding, Params
from ropelab.encodings.scoring import scores


class ScoresByDistance(NamedTuple):
    """Scaled scores by the distance of query and key.

    Attributes:
        distances: i64[n], in tokens.
        each: f64[N, n], or [L, N, n] where layers were measured.
    """

    distances: np.ndarray
    each: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """f64[n], over heads, and over layers where there are any."""
        return self.each.reshape(-1, self.each.shape[-1]).mean(axis=0)


def attention_resolution(s: Sequence[float] | np.ndarray) -> float:
    """R(s) of the scores at distances 0, 1, 2, ...; -inf where the last one towers so high that R is no float64.

    Raises:
        ValueError: for fewer than two scores, or one that is not finite.
    """
    s_n = np.asarray(s, np.float64)
    if s_n.ndim != 1 or s_n.size < 2:
        raise ValueError(f"scores of shape {s_n.shape} have no resolution; give one at each of two distances or more")
    if not np.isfinite(s_n).all():
        worst = int(np.argmin(np.isfinite(s_n)))
        raise ValueError(f"the score at distance {worst} is {s_n[worst]}; leave out distances that nothing sees")
    top = s_n[:-1].max()
    log_p = s_n - top - np.log(np.sum(np.exp(s_n[:-1] - top)))
    with np.errstate(over="ignore"):
        return float(np.sum(np.exp(2 * log_p[:-1])) - np.sum(np.exp(log_p[:-1] + log_p[1:])))


def expected_scores(
    encoding: Encoding,
    head_dim: int,
    distances: Sequence[int] | np.ndarray,
    *,
    length: int | None = None,
    num_heads: int = 1,
    layer: int = 0,
    params: Params | None = None,
) -> ScoresByDistance:
    """The scores of keys n tokens before the last query of a text, q and k being all ones and divided by sqrt(H).

        RoPE   s[n] = 2 / sqrt(H) sum_i cos(n theta_i)
        xPos   s[n] = 2 / sqrt(H) sum_i cos(n theta_i) zeta_i^(n / scale_base)

    The paper's expectation, with the factor 2 / sqrt(H) that the scores of such a head have.

    Args:
        distances: 0 or more, in any order.
        length: of the text, whose last token asks; just enough for the distances if not given.
        num_heads: of the model, for encodings that differ between heads.
        layer: which layer, for an encoding that is a schedule over layers.
        params: the encoding's learned tables; those that its `init` draws from seed 0 if not given.

    Raises:
        ValueError: for distances that are no such numbers, a length too short for them, and encodings that are added
            to the input, of which these scores see nothing.
    """
    n = np.asarray(distances)
    if n.ndim != 1 or n.size == 0 or not np.issubdtype(n.dtype, np.integer) or n.min() < 0:
        raise ValueError(f"distances must be whole numbers from 0 on, [n], got {n.dtype} of shape {n.shape}")
    length = int(n.max()) + 1 if length is None else length
    if length <= n.max():
        raise ValueError(f"length={length} has no two tokens {n.max()} apart; it must be {n.max() + 1} at least")
    check_has_scores(encoding)
    if params is None:
        params = encoding.init(jax.random.key(0), num_heads=num_heads, head_dim=head_dim)
    asked = np.arange(length) if encoding.needs_full_rows else n  # contextual scores count the keys in between
    s_BNTS = scores(
        encoding,
        jnp.ones((1, 1, num_heads, head_dim), jnp.float32),
        jnp.ones((1, asked.size, num_heads, head_dim), jnp.float32),
        jnp.asarray([length - 1], jnp.int32),
        jnp.asarray(length - 1 - asked, jnp.int32),
        params=params,
        length=length,
        layer=layer,
    )
    each_Nn = np.asarray(s_BNTS[0, :, 0], np.float64)
    return ScoresByDistance(n.astype(np.int64), each_Nn[:, n] if encoding.needs_full_rows else each_Nn)


def check_has_scores(encoding: Encoding) -> None:
    """Raise `ValueError` for an encoding that has no scores of its own."""
    if encoding.adds_to_input:
        raise ValueError(
            f"{encoding!r} is added to the input: with q = k = 1 its scores are flat; measure them in a model instead"
        )
