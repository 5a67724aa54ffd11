"""A whole text through the model: on one device, or its tokens cut over the devices of a mesh axis.

Everything but attention treats a token on its own, so the shards of a text meet in the kernel alone.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import PartitionSpec as P

from ropelab.attention.api import check_exchange, reorder
from ropelab.attention.exchanges import Exchange
from ropelab.models.config import Wiring
from ropelab.models.stack import Placed, hidden_states


def whole_text(wiring: Wiring, params: dict[str, Any], tokens_BT: Array, placed: Placed) -> Array:
    """`hidden_states`, under `jax.shard_map` over the mesh in use where the wiring's kernel is an exchange.

    Raises:
        ValueError: for an exchange without a mesh that has its axis, or a text or wiring that it refuses.
    """
    exchange = wiring.kernel
    if not isinstance(exchange, Exchange):
        return hidden_states(wiring, params, tokens_BT, placed)
    mesh = jax.sharding.get_abstract_mesh()
    if mesh is None or mesh.empty:
        raise ValueError(f"{exchange!r} works on a mesh and none is set: wrap the call in `with jax.set_mesh(mesh):`")
    T = tokens_BT.shape[1]
    devices = max(
        check_exchange(exchange, mesh, kind, wiring.pattern, T) for kind in wiring.encoding.unique_encodings()
    )
    order = exchange.order(T, devices)

    def local(params: Any, tokens: Array, pos: Array, segments: Array | None, length: Array) -> Array:
        return hidden_states(wiring, params, tokens, Placed(pos, segments, length))

    tokens, here = P(None, exchange.axis), {exchange.axis}
    specs = (P(), tokens, tokens, tokens, P())
    run: Callable[..., Array] = jax.shard_map(local, in_specs=specs, out_specs=tokens, axis_names=here, check_vma=False)
    arrays = reorder((tokens_BT, placed.pos, placed.segments), order)
    x_BTD = run(params, *arrays, jnp.asarray(placed.length, jnp.int32))
    return reorder(x_BTD, np.argsort(order))
