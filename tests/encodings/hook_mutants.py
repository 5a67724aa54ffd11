"""Encodings that misuse one hook each: a group, a row of keys, a learned table, a factor on the queries."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ropelab.attention.formula import Formula, Operands
from ropelab.attention.kernels.blockwise import blockwise
from ropelab.encodings import KERPLE, Context, CoPE, DynamicNTK, LearnedAbsolute, ScalableSoftmax, XPos, t5_boundaries
from ropelab.encodings.base import Params, compute_distances, select_heads
from ropelab.spec import spec


def counted(pos_BT: Array) -> Array:
    """0, 1, 2, ... in the place of positions."""
    return jnp.broadcast_to(jnp.arange(pos_BT.shape[1]), pos_BT.shape)


@spec
class IgnoresItsFrame(DynamicNTK):
    def effective_length(self, ctx: Context) -> int | Array:
        return ctx.length


@spec
class FramesOfTheCall(DynamicNTK):
    """Queries are grouped by where they stand in the call."""

    def query_group(self, q_pos_BT: Array) -> Array:
        return DynamicNTK.query_group(self, counted(jnp.asarray(q_pos_BT)))


@spec
class GatesInStorageOrder(CoPE):
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
        return CoPE.combine_rows(self, params, views, q_BNTH, visible, q_pos_BT, counted(k_pos_BS), ctx)


@spec
class GatesOfHiddenKeys(CoPE):
    """Tokens that the query does not see, later ones among them, open gates too."""

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
        return CoPE.combine_rows(self, params, views, q_BNTH, jnp.ones_like(visible), q_pos_BT, k_pos_BS, ctx)


@spec
class CentredPerCall(XPos):
    """Exponents counted from the middle of the call, as torchscale does: right as long as keys are not kept so."""

    @property
    def per_query_keys(self) -> bool:
        return False

    def apply_decay(self, x_BTNH: Array, pos_BT: Array, sign: float, ctx: Context) -> Array:
        centre: Any = ctx.length // 2 / self.scale_base
        return XPos.apply_decay(self, x_BTNH, pos_BT, sign, ctx._replace(group=centre))


@spec
class CountsFromTheBlock(ScalableSoftmax):
    def query_scale(self, params: Params, pos_BT: Array, ctx: Context) -> Array:
        return ScalableSoftmax.query_scale(self, params, counted(pos_BT), ctx)


@spec
class StoppedTable(KERPLE):
    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        stopped = {**params, "r2": lax.stop_gradient(params["r2"])}
        return KERPLE.combine(self, stopped, views, q_pos_BT, k_pos_BS, ctx)


@spec
class UnreadTable(KERPLE):
    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        return {**KERPLE.init(self, key, num_heads=num_heads, head_dim=head_dim), "r3": jnp.ones(num_heads)}


@spec
class LogarithmAtZero(KERPLE):
    """|i - j|^r2 as exp(r2 ln |i - j|): right, and its gradient at distance 0 is 0 * ln 0."""

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        (s_BNTS,) = views
        r1_N11, r2_N11 = (select_heads(jnp.clip(params[r], 0.01, 2.0), ctx.heads, s_BNTS.dtype) for r in ("r1", "r2"))
        return s_BNTS - r1_N11 * jnp.exp(r2_N11 * jnp.log(jnp.abs(compute_distances(q_pos_BT, k_pos_BS))))


@spec
class StoppedInput(LearnedAbsolute):
    def embed(self, params: Params, x_BTD: Array, pos_BT: Array) -> Array:
        return LearnedAbsolute.embed(self, lax.stop_gradient(params), x_BTD, pos_BT)


def late_boundaries(*, buckets: int, max_distance: int) -> np.ndarray:
    """T5's logarithmic buckets, each from one token further on."""
    first = t5_boundaries(buckets=buckets, max_distance=max_distance)
    return first + (np.arange(buckets) > buckets // 2)


def without_table_gradient(formula: Formula, operands: Operands) -> tuple[Array, Array]:
    stopped = jax.tree.map(lax.stop_gradient, operands.params)
    return blockwise(formula, operands._replace(params=stopped), block=(8, 5))
