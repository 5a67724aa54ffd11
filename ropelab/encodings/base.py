"""What position does to a query, a key and a score.

Attention in ropelab is one formula with three orthogonal parts, an encoding (q', k', combine), a
pattern (the counts n) and a kernel that evaluates it:

    out_i = sum_j n_ij exp(s_ij) v_j / sum_j n_ij exp(s_ij),   s_ij = combine(q'_i . k'_j / sqrt(H), i, j)

Shape letters, used in every name of the project and in every einsum string:

    B batch             T queries, or tokens of a sequence     N query heads
    L layers            S keys                                 K key/value heads
    D model width       V vocabulary                           H head dimension
    F feed-forward      G query heads per key/value head       R rotated pairs
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jax import Array

from ropelab.encodings.specs import Spec, spec

Params = Mapping[str, Any]


class Context(NamedTuple):
    """What an encoding may know besides the positions themselves.

    Attributes:
        length: tokens in context now. May be traced, so that a growing cache never recompiles.
        num_heads: query heads of the whole model.
        heads: i32[N], the global numbers of the query heads present here; a shard holds some of them.
    """

    length: int | Array
    num_heads: int
    heads: Array


@spec
class Encoding(Spec):
    """Encodes nothing: the base of all encodings.

    Every method sees positions only as arrays handed to it, so that caches, packed documents,
    dilation and sharded sequences need no code here. The contract, checked for every encoding:

    1. Pure: the same arguments give the same arrays, and nothing is remembered between calls.
    2. Permuting tokens together with their positions permutes the result.
    3. `heads` selects a slice: a shard of the heads equals the slice of the whole.
    4. `combine` is elementwise over (T, S), so that it may be called on any block of scores.
    5. Every field matters: changing it changes the scores or is refused.
    """

    @property
    def depends_on_length(self) -> bool:
        """Whether the same positions are encoded differently in a longer context."""
        return False

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        """Learned tables, `{}` if there are none."""
        del key, num_heads, head_dim
        return {}

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        """The queries as the scores see them, one entry per view."""
        del params, pos_BT, ctx
        return (q_BTNH,)

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        """The keys as the scores see them, one entry per view."""
        del params, pos_BS, ctx
        return (k_BSKH,)

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        """One score from the scaled scores s_BNTS of each view: a choice among them, or a bias added."""
        del params, q_pos_BT, k_pos_BS, ctx
        return views[0]

    def inherit(self, other: "Encoding") -> "Encoding":
        """This encoding with the fields left out taken from `other`, a checkpoint's own encoding."""
        del other
        return self

    def check(self, head_dim: int) -> None:
        """Raise `ValueError` if this encoding cannot serve heads of this size."""
        del head_dim
