"""Attention over a sequence that is sharded over devices: how each shard gets the keys of the others.

An exchange is a kernel: called inside `jax.shard_map` with the tokens of one shard, it returns their result under the
whole sequence. Positions and segments travel with the keys, so that every count and every bias is that of the whole
text, for any order of the tokens on the devices; nothing counts from the start of a shard.

    AllGather     all keys to every device:          (n - 1) / n T (k + v) received
    Ring          a shard of keys at a time, around: the same bytes, O(T / n) memory, merged by lse
    SparseGather  the kept tokens of each segment of `Dilated`, among its devices: w / r tokens per branch

Ring attention merges the results over the shards by their lse. In the backward pass lse and out of the whole are known,
so each shard's share of every cotangent is one call of the blockwise backward pass; the cotangents of keys and values
travel with them and return after a full turn. Forward and backward, a device holds O(T / n).

Sources: all-gather and zigzag order as in MaxText (context_parallel_strategy); ring attention, Liu et al., arXiv
2310.01889; LongNet, arXiv 2307.02486, section 3.3, whose published code drops a rank's own keys where it is causal.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ropelab.attention.formula import Formula, Operands, Pattern, Result, Tokens
from ropelab.attention.kernels.blockwise import blockwise, choose_block
from ropelab.attention.kernels.blockwise_gradient import compute_cotangents
from ropelab.attention.patterns.dilated import Dilated
from ropelab.attention.patterns.shifted_sparse import Grouped
from ropelab.attention.subsets import merge_results
from ropelab.encodings.base import Encoding
from ropelab.spec import Spec, require, spec


def _pass_on(tree: Any, axis: str) -> Any:
    """Return the arrays of the previous device."""
    devices = lax.axis_size(axis)
    return jax.tree.map(lambda x: lax.ppermute(x, axis, [(d, (d + 1) % devices) for d in range(devices)]), tree)


def _scan_shards(formula: Formula, axis: str, operands: Operands) -> Result:
    """Attend to this device's keys first, then to those of each other device as they arrive."""

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        result, keys, values = carry
        keys, values = _pass_on((keys, values), axis)
        share = blockwise(formula, operands._replace(keys=keys, values=values))
        return (merge_results([result, share]), keys, values), None

    carry = (blockwise(formula, operands), operands.keys, operands.values)
    return lax.scan(step, carry, None, length=lax.axis_size(axis) - 1)[0][0]


def forward(formula: Formula, axis: str, operands: Operands) -> tuple[Result, tuple[Operands, Result]]:
    result = _scan_shards(formula, axis, operands)
    return result, (operands, result)


def _backward(formula: Formula, axis: str, saved: tuple[Operands, Result], given: Result) -> tuple[Operands]:
    """Each shard's share under the lse of the whole."""
    operands, result = saved
    block = choose_block(operands.queries.pos.shape[1], operands.keys.pos.shape[1])

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        sums, keys, values, dkeys, dvalues = carry
        share = compute_cotangents(formula, block, operands._replace(keys=keys, values=values), result, given)
        sums = jax.tree.map(jnp.add, sums, (share.params, share.queries.views))
        dkeys, dvalues = jax.tree.map(jnp.add, (dkeys, dvalues), (share.keys.views, share.values))
        return (sums, *_pass_on((keys, values, dkeys, dvalues), axis)), None

    nothing = jax.tree.map(jnp.zeros_like, (operands.keys.views, operands.values))
    sums = jax.tree.map(jnp.zeros_like, (operands.params, operands.queries.views))
    carry = (sums, operands.keys, operands.values, *nothing)
    (dparams, dq_views), _, _, dk_views, dvalues = lax.scan(step, carry, None, length=lax.axis_size(axis))[0]
    none: Any = None
    return (Operands(dparams, Tokens(dq_views, none, none), Tokens(dk_views, none, none), dvalues, none, none),)


_differentiable = jax.custom_vjp(_scan_shards, nondiff_argnums=(0, 1))
_differentiable.defvjp(forward, _backward)
_ring_attention = cast(Callable[[Formula, str, Operands], Result], _differentiable)


@spec
class Exchange(Spec):
    """A kernel for one shard of a sequence, over the mesh axis `axis`."""

    axis: str = "sequence"

    def check(self, encoding: Encoding, pattern: Pattern, tokens: int, devices: int) -> None:
        """Raise `ValueError` for a call that this exchange does not support, before anything is compiled."""
        del encoding, pattern
        require(tokens % devices == 0, self, f"{tokens} tokens do not divide among {devices} devices; pad the text")

    def order(self, tokens: int, devices: int) -> np.ndarray:
        """Return the order of the tokens on the devices: shard d has the d-th part of this list."""
        del devices
        return np.arange(tokens)

    def __call__(self, formula: Formula, operands: Operands) -> Result:
        raise NotImplementedError


@spec
class AllGather(Exchange):
    """Every device gets all keys and values. Any encoding, any pattern."""

    def __call__(self, formula: Formula, operands: Operands) -> Result:
        return blockwise(formula, _gather_keys(operands, self.axis))


@spec
class Ring(Exchange):
    """Keys and values go around, a shard at each step; results are merged by their lse.

    In natural order the first shards of a causal text have little to see and wait for the last; "zigzag" gives each
    device one part of the beginning and one of the end.

    Attributes:
        layout: the order of tokens over the devices.
    """

    layout: Literal["natural", "zigzag"] = "zigzag"

    def check(self, encoding: Encoding, pattern: Pattern, tokens: int, devices: int) -> None:
        super().check(encoding, pattern, tokens, devices)
        why = f"{encoding!r} needs all keys of a query at once and a ring brings a shard at a time; take AllGather()"
        require(not encoding.needs_full_rows, self, why)
        parts = devices if self.layout == "natural" else 2 * devices
        require(tokens % parts == 0, self, f"{tokens} tokens do not divide into {parts} parts, two a device")

    def order(self, tokens: int, devices: int) -> np.ndarray:
        return zigzag_order(tokens, devices) if self.layout == "zigzag" else np.arange(tokens)

    def __call__(self, formula: Formula, operands: Operands) -> Result:
        return _ring_attention(formula, self.axis, operands)


@spec
class SparseGather(Exchange):
    """LongNet's: segments within a shard stay there, of longer ones only the kept keys and values travel.

    What a device receives of a branch is the w / r tokens that a segment keeps, for each pair of key head and offset,
    however long the text is.
    """

    def check(self, encoding: Encoding, pattern: Pattern, tokens: int, devices: int) -> None:
        super().check(encoding, pattern, tokens, devices)
        if not isinstance(pattern, Dilated):
            raise ValueError(f"SparseGather gathers what a Dilated pattern keeps, not {pattern!r}; take Ring()")
        require(not encoding.needs_full_rows, self, f"{encoding!r} needs all keys of a query at once; take AllGather()")
        local = tokens // devices
        for w, r in pattern.branches:
            require(local % r == 0, self, f"a shard of {local} tokens is no multiple of the rate {r}")
            fits = local % w == 0 or w % local == 0 or w >= tokens
            require(fits, self, f"segments of {w} and shards of {local} tokens must divide one another")
            share = min(w // local, devices)
            whole = share < 2 or devices % share == 0
            require(whole, self, f"segments of {w} tokens cover {share} shards, and {devices} devices are no multiple")

    def __call__(self, formula: Formula, operands: Operands) -> Result:
        local = operands.queries.pos.shape[1]
        return formula.pattern.attend(partial(self.within_segment, local), formula, operands, in_order=True)

    def within_segment(self, local: int, formula: Formula, operands: Operands) -> Result:
        """Attend to the kept tokens of one branch, with those of the shards that its segment covers."""
        group = cast(Grouped, formula.pattern).group
        if group <= local:
            return blockwise(formula, operands)
        devices = lax.axis_size(self.axis)
        return blockwise(formula, _gather_keys(operands, self.axis, among=min(group // local, devices)))


def zigzag_order(tokens: int, devices: int) -> np.ndarray:
    """Return the zigzag order: device d has parts d and 2 n - 1 - d of 2 n parts of the text."""
    parts = np.arange(tokens).reshape(2 * devices, -1)
    return np.concatenate([np.concatenate([parts[d], parts[2 * devices - 1 - d]]) for d in range(devices)])


def _gather_keys(operands: Operands, axis: str, among: int | None = None) -> Operands:
    """Return the operands with the keys and values of all devices, or of groups of `among` neighbouring devices."""
    devices = lax.axis_size(axis)
    size = among or devices
    groups = None if size == devices else np.arange(devices).reshape(-1, size).tolist()

    def along(at: int) -> Callable[[Array], Array]:
        return lambda x: lax.all_gather(x, axis, axis=at, tiled=True, axis_index_groups=groups)

    keys = operands.keys
    keys = Tokens(tuple(map(along(2), keys.views)), along(1)(keys.pos), jax.tree.map(along(1), keys.segments))
    return operands._replace(keys=keys, values=along(2)(operands.values))


EXCHANGES: dict[str, type[Exchange]] = {kind.__name__: kind for kind in (AllGather, Ring, SparseGather)}
