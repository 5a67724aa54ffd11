"""The interface of encodings: how positions change a query, a key and a score.

Attention in ropelab is one formula with three orthogonal parts, an encoding (q', k', combine), a
pattern (the counts n) and a kernel that evaluates it:

    out_i = sum_j n_ij exp(s_ij) v_j / sum_j n_ij exp(s_ij),   s_ij = combine(q'_i . k'_j / sqrt(H), i, j)

Shape letters, used in every name of the project and in every einsum string:

    B batch             T queries, or tokens of a sequence     N query heads
    L layers            S keys                                 K key/value heads
    D model width       V vocabulary                           H head dimension
    F feed-forward      G query heads per key/value head       R rotated pairs
"""

import types
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.spec import Spec, spec

Params = Mapping[str, Any]


class Context(NamedTuple):
    """Information that an encoding may use in addition to the positions.

    Attributes:
        length: tokens in context now. May be traced, so that a growing cache never recompiles.
        num_heads: query heads of the whole model.
        heads: i32[N], the global numbers of the query heads present here; a shard holds some of them.
        group: number of the group that all queries of the call share; None outside encodings with per-query keys.
    """

    length: int | Array
    num_heads: int
    heads: Array
    group: int | Array | None = None


@spec
class Encoding(Spec):
    """Encodes nothing: the base of all encodings.

    Every method gets positions as arrays, so that caches, packed documents,
    dilation and sharded sequences need no code here. The contract, checked for every encoding:

    1. Pure: the same arguments give the same arrays, and nothing is remembered between calls.
    2. Permuting tokens together with their positions permutes the result.
    3. `heads` selects a slice: a shard of the heads equals the slice of the whole.
    4. `combine` is elementwise over (T, S), so that it may be called on any block of scores.
    5. Every field matters: changing it changes the scores or raises `ValueError`.
    6. `relative` encodings give the same scores when all positions are shifted; others set `relative` to False.
    """

    renamed: ClassVar[Mapping[str, str]] = types.MappingProxyType(
        {
            "framed": "per_query_keys",
            "frame_of": "query_group",
            "contextual": "needs_full_rows",
            "in_context": "combine_rows",
            "kinds": "unique_encodings",
            "kind_of": "encoding_index",
            "of": "inner",
            "sharpness": "query_scale",
            "init_sharpness": "init_query_scale",
            "length_seen": "effective_length",
            "known_base": "require_base",
            "known_step": "resolve_step",
            "turned": "rotated_dims",
            "fewest_turned": "min_rotated_dims",
            "slower": "far_frequencies",
        }
    )

    @property
    def depends_on_length(self) -> bool:
        """Whether the same positions are encoded differently in a longer context."""
        return False

    @property
    def relative(self) -> bool:
        """Whether scores depend only on the distance between two positions."""
        return True

    @property
    def position_limit(self) -> int | None:
        """The number of positions, if they are numbered."""
        return None

    @property
    def fractional_positions(self) -> bool:
        """Whether positions may be fractions, as in Position Interpolation; if not, fractions raise `ValueError`."""
        return False

    @property
    def per_layer(self) -> bool:
        """Whether each layer of a model has its own learned tables."""
        return True

    @property
    def needs_full_rows(self) -> bool:
        """Whether a score depends on the other keys of its query, so that `combine_rows` needs whole rows of keys."""
        return False

    @property
    def per_query_keys(self) -> bool:
        """Whether keys are encoded differently for different queries.

        Queries are then grouped by `frame_of`, and the keys are encoded for each group as it reads them, with
        `ctx.group` the group's number.
        """
        return False

    def query_group(self, q_pos_BT: Array) -> Array:
        """Return the group of each query, i32[B, T], a function of its position only."""
        return jnp.zeros_like(q_pos_BT)

    def unique_encodings(self) -> "tuple[Encoding, ...]":
        """Return the distinct encodings of a model with this one: itself, unless it is a schedule over layers."""
        return (self,)

    def encoding_index(self, layer: int) -> int:
        """Return the index in `unique_encodings` of the encoding of a layer."""
        del layer
        return 0

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        """Return initial learned tables, `{}` if there are none."""
        del key, num_heads, head_dim
        return {}

    @property
    def adds_to_input(self) -> bool:
        """Whether `embed` changes the embedded tokens, so that the encoding serves a whole model and not a layer."""
        return type(self).embed is not Encoding.embed

    def embed(self, params: Params, x_BTD: Array, pos_BT: Array) -> Array:
        """Return the embedded tokens as the first layer sees them; only input-added encodings change them."""
        del params, pos_BT
        return x_BTD

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        """Encode the queries, one array per view."""
        del params, pos_BT, ctx
        return (q_BTNH,)

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        """Encode the keys, one array per view."""
        del params, pos_BS, ctx
        return (k_BSKH,)

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        """Compute one score from the scaled scores s_BNTS of each view: select among them, or add a bias."""
        del params, q_pos_BT, k_pos_BS, ctx
        return views[0]

    def linear_slopes(self, num_heads: int) -> np.ndarray | None:
        """Return m_n of every head of the model if `combine` only adds -m_n |i - j|, else None.

        Such a bias is of low rank in the positions, so that kernels which take no bias can have it.
        """
        del num_heads
        return None

    def combine_rows(
        self,
        params: Params,
        views: tuple[Array, ...],
        q_BNTH: Array,
        visible: Array,
        q_pos_BT: Array,
        k_pos_BS: Array,
        ctx: Context,
    ) -> Array:
        """Compute scores as `combine`, from the queries themselves and all keys of each query.

        Args:
            visible: bool[B, N or 1, T, S], the pairs that the pattern counts.
        """
        del q_BNTH, visible
        return self.combine(params, views, q_pos_BT, k_pos_BS, ctx)

    def inherit(self, other: "Encoding") -> "Encoding":
        """Return this encoding with missing fields taken from `other`, the encoding of a checkpoint."""
        del other
        return self

    def check(self, head_dim: int) -> None:
        """Raise `ValueError` if this encoding cannot serve heads of this size."""
        del head_dim


def init_encodings(kinds: tuple[Encoding, ...], key: Array, *, num_heads: int, head_dim: int) -> Params:
    """Return the tables of a schedule over layers: those of each distinct encoding, under "0", "1", ..."""
    keys = jax.random.split(key, len(kinds))
    return {
        str(n): kind.init(k, num_heads=num_heads, head_dim=head_dim)
        for n, (k, kind) in enumerate(zip(keys, kinds, strict=True))
    }


def compute_distances(q_pos_BT: Array, k_pos_BS: Array) -> Array:
    """Return i - j as i32[B, 1, T, S], positive for keys before the query."""
    return (jnp.asarray(q_pos_BT)[:, :, None] - jnp.asarray(k_pos_BS)[:, None, :])[:, None]


def select_heads(values_N: Array, ctx_heads: Array, dtype: jnp.dtype) -> Array:
    """Return one number per head present, as [N, 1, 1]."""
    return jnp.asarray(values_N)[ctx_heads].astype(dtype)[:, None, None]
