"""T5's relative position bias: a learned number for each head and each bucket of distances.

    s_ij = q_i . k_j / sqrt(H) + table[bucket(i - j), h]
    bucket(n) = n for n < B/2, else B/2 + floor(ln(n / (B/2)) / ln(D / (B/2)) * (B - B/2)), at most B - 1

with B = buckets, D = max_distance; keys after the query share bucket 0. Source: Raffel et al., arXiv 1910.10683;
transformers 5.23, `T5Attention._relative_position_bucket`, causal form. T5 itself does not divide q . k by sqrt(H):
its bias is that much larger against the scores. Buckets come from whole-number boundaries: a float32 logarithm puts
distances that lie exactly on one into either bucket, depending on the machine.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context, Encoding, Params, compute_distances
from ropelab.spec import at_least, require, spec

__all__ = ["T5Bias", "t5_boundaries"]


def t5_boundaries(*, buckets: int, max_distance: int) -> np.ndarray:
    """The first distance of each bucket, i64[buckets], exactly: bucket b >= m = buckets / 2 begins at the least n with
    (n / m)^(buckets - m) >= (max_distance / m)^(b - m), a comparison of whole numbers."""
    m = buckets // 2
    first = list(range(m))
    n = m
    for b in range(m, buckets):
        while n ** (buckets - m) * m ** (b - m) < max_distance ** (b - m) * m ** (buckets - m):
            n += 1
        first.append(n)
    return np.asarray(first)


@spec
class T5Bias(Encoding):
    """A learned bias over `buckets` of distance, exact below buckets / 2, logarithmic up to `max_distance`."""

    buckets: int = 32
    max_distance: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.buckets >= 4 and self.buckets % 2 == 0, self, f"buckets={self.buckets} must be even and at least 4"
        )
        at_least(self.buckets // 2 + 1, self, "max_distance")

    @property
    def per_layer(self) -> bool:
        return False  # T5's first layer owns the one table

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        del head_dim
        return {"table": 0.1 * jax.random.normal(key, (self.buckets, num_heads), jnp.float32)}

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        (s_BNTS,) = views
        first = t5_boundaries(buckets=self.buckets, max_distance=self.max_distance)
        distance_BTS = jnp.maximum(compute_distances(q_pos_BT, k_pos_BS)[:, 0], 0)
        bucket_BTS = jnp.searchsorted(jnp.asarray(first, jnp.int32), distance_BTS, side="right") - 1
        bias_BTSN = params["table"][:, ctx.heads][bucket_BTS]
        return s_BNTS + jnp.moveaxis(bias_BTSN, -1, 1).astype(s_BNTS.dtype)
