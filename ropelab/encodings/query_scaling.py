"""Encodings that wrap another one and multiply its queries before the dot product.

Around a schedule over layers, the wrapper applies to each of its encodings: `LogN(of=Layers((RoPE(), NoPE())))` runs
`LogN(of=RoPE())` and `LogN(of=NoPE())`.
"""

import dataclasses
from typing import Self

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context, Encoding, Params, init_kinds
from ropelab.spec import parts, require, spec


@spec
class Sharpened(Encoding):
    """All that `of` does, with queries multiplied by `sharpness`; biases are left as they are."""

    of: Encoding

    def __post_init__(self) -> None:
        super().__post_init__()
        twice = type(self).init_sharpness is not Sharpened.init_sharpness and any(
            type(part) is type(self) for part in parts(self.of)
        )
        require(not twice, self, "has a learned table, which one inside of it would share; wrap once")

    def sharpness(self, params: Params, pos_BT: Array, ctx: Context) -> Array:
        """The factor on each query, float32 [B, T, N or 1]."""
        raise NotImplementedError

    def kinds(self) -> tuple[Encoding, ...]:
        inner = self.of.kinds()
        return (self,) if inner == (self.of,) else tuple(dataclasses.replace(self, of=kind) for kind in inner)

    def kind_of(self, layer: int) -> int:
        return self.of.kind_of(layer)

    @property
    def depends_on_length(self) -> bool:
        return self.of.depends_on_length

    @property
    def relative(self) -> bool:
        return False

    @property
    def fractional_positions(self) -> bool:
        return self.of.fractional_positions

    @property
    def position_limit(self) -> int | None:
        return self.of.position_limit

    @property
    def per_layer(self) -> bool:
        return self.of.per_layer

    @property
    def contextual(self) -> bool:
        return self.of.contextual

    @property
    def framed(self) -> bool:
        return self.of.framed

    def frame_of(self, q_pos_BT: Array) -> Array:
        return self.of.frame_of(q_pos_BT)

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        if self.kinds() != (self,):
            return init_kinds(self.kinds(), key, num_heads=num_heads, head_dim=head_dim)
        return {
            **self.of.init(key, num_heads=num_heads, head_dim=head_dim),
            **self.init_sharpness(num_heads),
        }

    def init_sharpness(self, num_heads: int) -> Params:
        """The learned tables of `sharpness` itself, `{}` if there are none."""
        del num_heads
        return {}

    @property
    def adds_to_input(self) -> bool:
        return self.of.adds_to_input

    def linear_slopes(self, num_heads: int) -> np.ndarray | None:
        return self.of.linear_slopes(num_heads)

    def embed(self, params: Params, x_BTD: Array, pos_BT: Array) -> Array:
        return self.of.embed(params, x_BTD, pos_BT)

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        wide = q_BTNH.astype(jnp.promote_types(q_BTNH.dtype, jnp.float32))
        sharp = wide * self.sharpness(params, jnp.asarray(pos_BT), ctx)[..., None]
        return tuple(view.astype(q_BTNH.dtype) for view in self.of.encode_q(params, sharp, pos_BT, ctx))

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        return self.of.encode_k(params, k_BSKH, pos_BS, ctx)

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        return self.of.combine(params, views, q_pos_BT, k_pos_BS, ctx)

    def in_context(
        self,
        params: Params,
        views: tuple[Array, ...],
        q_BNTH: Array,
        visible: Array,
        q_pos_BT: Array,
        k_pos_BS: Array,
        ctx: Context,
    ) -> Array:
        return self.of.in_context(params, views, q_BNTH, visible, q_pos_BT, k_pos_BS, ctx)

    def inherit(self, other: Encoding) -> Self:
        return dataclasses.replace(self, of=self.of.inherit(other))

    def check(self, head_dim: int) -> None:
        self.of.check(head_dim)
