"""What an encoding learns by: finite gradients that reach every table."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ropelab.attention import Causal
from ropelab.contract.calls import KERNELS, differentiated, placed
from ropelab.contract.kernels import cotangents
from ropelab.contract.samples import B, H, N, T, sample, spread, tables
from ropelab.encodings import Encoding

Gradients = dict[str, np.ndarray]
LEAST = 1e-4  # terms that cancel leave 1e-5 in float32; the weakest table of the catalogue, of FIRE, gets 0.07


def learned_tables_get_gradients(encoding: Encoding) -> str | None:
    """Each learned table moves what attention returns or what is added to the input, and its gradient is finite.

    A table under `stop_gradient`, one that is never read, and the NaN of a root at distance 0 fail here. Tokens stand
    one after another, and then up to four trained lengths apart, where a scaling acts.
    """
    learned = [kind for kind in encoding.kinds() if jax.tree.leaves(tables(kind))]
    if not learned:
        return "nothing is learned"
    for kind in learned:
        added = of_input(kind)
        for name in KERNELS:
            near, far = (of_attention(kind, name, pos) for pos in (np.arange(T), spread(kind)))
            for table in near:
                found = [g[table] for g in (near, far, added)]
                where = f"{table}: {kind}, {name}"
                assert all(np.isfinite(g).all() for g in found), f"a gradient is not finite, of {where}"
                assert max(np.abs(g).max() for g in found) > LEAST, f"no gradient reaches {where}"


def of_attention(encoding: Encoding, kernel: str, pos: np.ndarray) -> Gradients:
    """By each table, of a random projection of out and of lse."""
    placement = placed(np.broadcast_to(pos, (B, T)), length=int(pos.max()) + 1)
    given = encoding, Causal(), KERNELS[kernel], tables(encoding), sample(), placement, cotangents()
    return by_name(differentiated(*given)[1])


def of_input(encoding: Encoding) -> Gradients:
    """By each table, of a random projection of the embedded tokens."""
    x_BTD, dx_BTD = np.random.default_rng(8).standard_normal((2, B, T, N * H), np.float32)
    pos_BT = jnp.broadcast_to(jnp.arange(T), (B, T))
    return by_name(jax.grad(lambda p: jnp.sum(dx_BTD * encoding.embed(p, x_BTD, pos_BT)))(tables(encoding)))


def by_name(tree: Mapping) -> Gradients:
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
