"""`attend` for a sequence that lies on several devices: the one formula, cut along the tokens of a mesh axis."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AbstractMesh, Mesh
from jax.sharding import PartitionSpec as P

from ropelab.attention.dispatch import attend, positions
from ropelab.attention.exchange import Exchange
from ropelab.attention.pattern import Pattern
from ropelab.attention.patterns.causal import Causal
from ropelab.encodings.base import Encoding, Params
from ropelab.encodings.positions import normalize_segments


def attend_sharded(
    q_BTNH: Array,
    k_BTKH: Array,
    v_BTKH: Array,
    *,
    exchange: Exchange,
    mesh: Mesh,
    encoding: Encoding,
    pattern: Pattern | None = None,
    params: Params | None = None,
    pos: Array | None = None,
    segments: Array | None = None,
    length: int | Array | None = None,
) -> tuple[Array, Array]:
    """`(out_BTNH, lse_BTN)` of self-attention over a text whose tokens are cut over an axis of the mesh.

    Equal to `attend` on one device, forward and backward. Tokens are handed over and come back in the order of the
    text; they lie on the devices in the exchange's order.

    Args:
        pos, segments: as `attend` takes them for queries and keys alike.
        length: tokens in context; the largest position plus one if not given.

    Raises:
        ValueError: for an axis that the mesh lacks, or what the exchange refuses.
    """
    pattern = pattern or Causal()
    devices = check(exchange, mesh, encoding, pattern, q_BTNH.shape[1])
    pos_BT, _, natural = positions(q_BTNH, k_BTKH, pos, pos, encoding, pattern)
    segments_BT = None if segments is None else normalize_segments(segments, pos_BT.shape)
    order = exchange.order(q_BTNH.shape[1], devices)

    def local(params: Params, qkv: tuple, pos_BT: Array, segments_BT: Array | None, length: int | Array) -> tuple:
        where = {"q_pos": pos_BT, "k_pos": pos_BT, "segments": segments_BT, "length": length}
        return attend(*qkv, encoding=encoding, pattern=pattern, params=params, kernel=exchange, **where)

    tokens = P(None, exchange.axis)
    specs = (P(), tokens, tokens, tokens, P())
    run: Callable[..., tuple[Array, Array]] = jax.shard_map(
        local, mesh=mesh, in_specs=specs, out_specs=tokens, check_vma=False
    )
    arrays = reordered(((q_BTNH, k_BTKH, v_BTKH), pos_BT, segments_BT), order)
    found = run(params or {}, *arrays, jnp.asarray(natural if length is None else length, jnp.int32))
    return reordered(found, np.argsort(order))


def reordered(tree: Any, order: np.ndarray) -> Any:
    """Tokens, on axis 1, in another order; nothing is done, and nothing sent, for the natural one."""
    if np.array_equal(order, np.arange(order.size)):
        return tree
    return jax.tree.map(lambda x: jnp.take(x, order, axis=1), tree)


def check(exchange: Exchange, mesh: Mesh | AbstractMesh, encoding: Encoding, pattern: Pattern, tokens: int) -> int:
    """How many devices the tokens are cut over."""
    if exchange.axis not in mesh.shape:
        raise ValueError(f"the mesh has the axes {', '.join(mesh.shape)}, and {exchange!r} wants {exchange.axis!r}")
    exchange.check(encoding, pattern, tokens, mesh.shape[exchange.axis])
    return mesh.shape[exchange.axis]
