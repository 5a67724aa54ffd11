"""Encodings that wrap another one and multiply its queries before the dot product.

Around a schedule over layers, the wrapper applies to each of its encodings: `LogN(inner=Layers((RoPE(), NoPE())))` runs
`LogN(inner=RoPE())` and `LogN(inner=NoPE())`.
"""

import dataclasses
from typing import Self

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context, Encoding, Params, init_encodings
from ropelab.spec import iterate_specs, require, spec


@spec
class QueryScaled(Encoding):
    """Wrapper that multiplies the queries of `inner` by `query_scale` and leaves biases as they are."""

    inner: Encoding

    def __post_init__(self) -> None:
        super().__post_init__()
        twice = type(self).init_query_scale is not QueryScaled.init_query_scale and any(
            type(part) is type(self) for part in iterate_specs(self.inner)
        )
        require(not twice, self, "has a learned table, which one inside of it would share; wrap once")

    def query_scale(self, params: Params, pos_BT: Array, ctx: Context) -> Array:
        """Return the factor on each query, float32 [B, T, N or 1]."""
        raise NotImplementedError

    def unique_encodings(self) -> tuple[Encoding, ...]:
        inner = self.inner.unique_encodings()
        return (self,) if inner == (self.inner,) else tuple(dataclasses.replace(self, inner=kind) for kind in inner)

    def encoding_index(self, layer: int) -> int:
        return self.inner.encoding_index(layer)

    @property
    def depends_on_length(self) -> bool:
        return self.inner.depends_on_length

    @property
    def relative(self) -> bool:
        return False

    @property
    def fractional_positions(self) -> bool:
        return self.inner.fractional_positions

    @property
    def position_limit(self) -> int | None:
        return self.inner.position_limit

    @property
    def per_layer(self) -> bool:
        return self.inner.per_layer

    @property
    def needs_full_rows(self) -> bool:
        return self.inner.needs_full_rows

    @property
    def per_query_keys(self) -> bool:
        return self.inner.per_query_keys

    def query_group(self, q_pos_BT: Array) -> Array:
        return self.inner.query_group(q_pos_BT)

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        if self.unique_encodings() != (self,):
            return init_encodings(self.unique_encodings(), key, num_heads=num_heads, head_dim=head_dim)
        return {
            **self.inner.init(key, num_heads=num_heads, head_dim=head_dim),
            **self.init_query_scale(num_heads),
        }

    def init_query_scale(self, num_heads: int) -> Params:
        """Return the learned tables of `query_scale`, `{}` if there are none."""
        del num_heads
        return {}

    @property
    def adds_to_input(self) -> bool:
        return self.inner.adds_to_input

    def linear_slopes(self, num_heads: int) -> np.ndarray | None:
        return self.inner.linear_slopes(num_heads)

    def embed(self, params: Params, x_BTD: Array, pos_BT: Array) -> Array:
        return self.inner.embed(params, x_BTD, pos_BT)

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        wide = q_BTNH.astype(jnp.promote_types(q_BTNH.dtype, jnp.float32))
        sharp = wide * self.query_scale(params, jnp.asarray(pos_BT), ctx)[..., None]
        return tuple(view.astype(q_BTNH.dtype) for view in self.inner.encode_q(params, sharp, pos_BT, ctx))

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        return self.inner.encode_k(params, k_BSKH, pos_BS, ctx)

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        return self.inner.combine(params, views, q_pos_BT, k_pos_BS, ctx)

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
        return self.inner.combine_rows(params, views, q_BNTH, visible, q_pos_BT, k_pos_BS, ctx)

    def inherit(self, other: Encoding) -> Self:
        return dataclasses.replace(self, inner=self.inner.inherit(other))

    def check(self, head_dim: int) -> None:
        self.inner.check(head_dim)
