"""A model whose text is cut over devices is the same model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from ropelab.attention import AllGather, Causal, Dilated, Ring, SparseGather
from ropelab.encodings import XPos
from ropelab.models import compiled, from_scratch
from ropelab.models.llama import LlamaConfig

SIZES = {"vocabulary": 61, "width": 32, "layers": 2, "heads": 4, "key_heads": 2, "head_dim": 8, "feed_forward": 48}
CONFIG = LlamaConfig(**SIZES, norm_eps=1e-5, trained_length=64)
LONGNET = Dilated(segments=(8, 64), rates=(1, 8))
TOKENS = np.random.default_rng(0).integers(0, 61, (2, 64))


def model(pattern, kernel="auto"):
    return from_scratch(CONFIG, XPos(base=1e4), pattern, seed=0, kernel=kernel)


def mesh():
    return jax.make_mesh((2, 4), ("data", "sequence"), axis_types=(AxisType.Auto,) * 2)


WAYS = [("Ring(layout='zigzag')", Causal()), (AllGather(), LONGNET), (SparseGather(), LONGNET)]


@pytest.mark.parametrize("exchange, pattern", WAYS, ids=repr)
def test_logits_of_a_text_on_four_devices(exchange, pattern):
    expected = np.asarray(model(pattern, "blockwise").logits(TOKENS))
    with jax.set_mesh(mesh()):
        found = np.asarray(model(pattern, exchange).logits(TOKENS))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_gradients_of_the_loss_on_four_devices():
    def loss(params, wiring):
        return jnp.mean(compiled.nll(wiring, params, jnp.asarray(TOKENS), None, None, length=64))

    found = []
    for kernel in ("blockwise", Ring()):
        one = model(Causal(), kernel)
        with jax.set_mesh(mesh()):
            found.append(jax.jit(jax.grad(loss), static_argnums=1)(one.params, one.wiring))
    for (path, a), (_, b) in zip(*map(jax.tree.leaves_with_path, found), strict=True):
        scale = np.abs(b).max()
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * scale, err_msg=jax.tree_util.keystr(path))


def test_a_cache_and_a_missing_mesh_are_refused():
    one = model(Causal(), "Ring()")
    with pytest.raises(ValueError, match=r"none is set: wrap the call in `with jax.set_mesh"):
        one.logits(TOKENS)
    with pytest.raises(ValueError, match="a cache lies whole on a device"):
        one.decode_logits(TOKENS, prefill=4)
    with pytest.raises(ValueError, match="unknown kernel 'Rings"):
        model(Causal(), "Rings()")
