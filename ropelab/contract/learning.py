"""What an encoding learns by: finite gradients that reach every table."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ropelab.attention import Causal
from ropelab.contract.calls import KERNELS, make_positions, run_with_gradients
from ropelab.contract.kernels import sample_cotangents
from ropelab.contract.samples import B, H, N, T, sample_params, sample_positions, sample_qkv
from ropelab.encodings import Encoding

_Gradients = dict[str, np.ndarray]
_MIN_GRADIENT = 1e-4  # terms that cancel leave 1e-5 in float32; the weakest table of the catalogue, of FIRE, gets 0.07


def learned_tables_get_gradients(encoding: Encoding) -> str | None:
    """Each learned table moves what attention returns or what is added to the input, and its gradient is finite.

    A table under `stop_gradient`, one that is never read, and the NaN of a root at distance 0 fail here. Tokens stand
    one after another, and then up to four trained lengths apart, where a scaling acts.
    """
    learned = [kind for kind in encoding.unique_encodings() if jax.tree.leaves(sample_params(kind))]
    if not learned:
        return "nothing is learned"
    for kind in learned:
        added = _differentiate_input(kind)
        for name in KERNELS:
            near, far = (_differentiate_attention(kind, name, pos) for pos in (np.arange(T), sample_positions(kind)))
            for table in near:
                found = [g[table] for g in (near, far, added)]
                where = f"{table}: {kind}, {name}"
                assert all(np.isfinite(g).all() for g in found), f"a gradient is not finite, of {where}"
                assert max(np.abs(g).max() for g in found) > _MIN_GRADIENT, f"no gradient reaches {where}"


def _differentiate_attention(encoding: Encoding, kernel: str, pos: np.ndarray) -> _Gradients:
    """By each table, of a random projection of out and of lse."""
    placement = make_positions(np.broadcast_to(pos, (B, T)), length=int(pos.max()) + 1)
    given = encoding, Causal(), KERNELS[kernel], sample_params(encoding), sample_qkv(), placement, sample_cotangents()
    return _flatten_by_name(run_with_gradients(*given)[1])


def _differentiate_input(encoding: Encoding) -> _Gradients:
    """By each table, of a random projection of the embedded tokens."""
    x_BTD, dx_BTD = np.random.default_rng(8).standard_normal((2, B, T, N * H), np.float32)
    pos_BT = jnp.broadcast_to(jnp.arange(T), (B, T))
    return _flatten_by_name(
        jax.grad(lambda p: jnp.sum(dx_BTD * encoding.embed(p, x_BTD, pos_BT)))(sample_params(encoding))
    )


def _flatten_by_name(tree: Mapping) -> _Gradients:
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
