"""Ring attention: keys and values pass from device to device, and every shard of queries meets each once.

Forward, results over the shards merge by their lse. Backward, the lse and out of the whole are known, so each shard's
share of every cotangent is one call of the blockwise backward pass; what belongs to keys and values travels with them
and comes home after a full turn. Both ways a device holds O(T / n).

Source: Liu, Zaharia and Abbeel, arXiv 2310.01889, section 3.
"""

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax

from ropelab.attention.arranging import merged
from ropelab.attention.blocks import Formula, Operands, Result, Tokens
from ropelab.attention.blockwise import block_shape, blockwise
from ropelab.attention.blockwise_gradient import cotangents


def passed_on(tree: Any, axis: str) -> Any:
    """What the device before holds."""
    devices = lax.axis_size(axis)
    return jax.tree.map(lambda x: lax.ppermute(x, axis, [(d, (d + 1) % devices) for d in range(devices)]), tree)


def every_shard(formula: Formula, axis: str, operands: Operands) -> Result:
    """One's own keys first, then those of each other device as they come by."""

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        result, keys, values = carry
        keys, values = passed_on((keys, values), axis)
        share = blockwise(formula, operands._replace(keys=keys, values=values))
        return (merged([result, share]), keys, values), None

    carry = (blockwise(formula, operands), operands.keys, operands.values)
    return lax.scan(step, carry, None, length=lax.axis_size(axis) - 1)[0][0]


def forward(formula: Formula, axis: str, operands: Operands) -> tuple[Result, tuple[Operands, Result]]:
    result = every_shard(formula, axis, operands)
    return result, (operands, result)


def backward(formula: Formula, axis: str, saved: tuple[Operands, Result], given: Result) -> tuple[Operands]:
    """Each shard's share under the lse of the whole."""
    operands, result = saved
    block = block_shape(operands.queries.pos.shape[1], operands.keys.pos.shape[1])

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        sums, keys, values, dkeys, dvalues = carry
        share = cotangents(formula, block, operands._replace(keys=keys, values=values), result, given)
        sums = jax.tree.map(jnp.add, sums, (share.params, share.queries.views))
        dkeys, dvalues = jax.tree.map(jnp.add, (dkeys, dvalues), (share.keys.views, share.values))
        return (sums, *passed_on((keys, values, dkeys, dvalues), axis)), None

    nothing = jax.tree.map(jnp.zeros_like, (operands.keys.views, operands.values))
    sums = jax.tree.map(jnp.zeros_like, (operands.params, operands.queries.views))
    carry = (sums, operands.keys, operands.values, *nothing)
    (dparams, dq_views), _, _, dk_views, dvalues = lax.scan(step, carry, None, length=lax.axis_size(axis))[0]
    none: Any = None
    return (Operands(dparams, Tokens(dq_views, none, none), Tokens(dk_views, none, none), dvalues, none, none),)


differentiable = jax.custom_vjp(every_shard, nondiff_argnums=(0, 1))
differentiable.defvjp(forward, backward)
around = cast(Callable[[Formula, str, Operands], Result], differentiable)
