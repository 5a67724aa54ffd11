"""Low-rank terms beside the matrices are the matrices with them added, in every way a model runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.attention.patterns import Causal
from ropelab.encodings import RoPE
from ropelab.models import compiled, low_rank, sequence
from ropelab.models.longnet import LongNetConfig
from ropelab.models.module import Model, Parameters, from_scratch
from ropelab.models.sharding import partition_spec
from tests.models import tiny

LONGNET = LongNetConfig(
    vocabulary=97, width=32, layers=2, heads=4, head_dim=8, feed_forward=48, norm_eps=1e-5, trained_length=32
)


def adapted(model: Model, rank: int = 3) -> Model:
    """The model with terms of random A and B beside every projection."""
    layers = dict(model.params["layers"])
    for name in low_rank.PROJECTIONS:
        if name in layers:
            a, b = low_rank.factor_shapes(name, layers[name].shape, rank)
            one, two = jax.random.split(jax.random.key(ord(name[0])))
            layers[f"{name}_a"] = 0.2 * jax.random.normal(one, a)
            layers[f"{name}_b"] = 0.2 * jax.random.normal(two, b)
    return Model(model.wiring, Parameters(model.params | {"layers": layers}))


@pytest.fixture(scope="module", params=["llama", "longnet"])
def base(request: pytest.FixtureRequest) -> Model:
    if request.param == "llama":
        return tiny.lab("biased").model
    return from_scratch(LONGNET, RoPE(base=1e4), Causal(), seed=0)


def test_terms_beside_matrices_are_terms_in_them(base: Model) -> None:
    """A model that ignored them would be the base."""
    beside = adapted(base)
    inside = Model(base.wiring, Parameters(low_rank.merged(beside.params)))
    assert jax.tree.structure(inside.params) == jax.tree.structure(base.params)
    whole = beside.logits(tiny.SHORT)
    size = np.abs(whole).max()
    assert np.abs(whole - base.logits(tiny.SHORT)).max() > 0.1 * size
    np.testing.assert_allclose(whole, inside.logits(tiny.SHORT), atol=1e-5 * size)


def test_decoding_knows_the_terms_too() -> None:
    """Its layers are unstacked, and so must the terms be."""
    beside = adapted(tiny.lab("biased").model)
    np.testing.assert_allclose(beside.decode_logits(tiny.SHORT, prefill=20), beside.logits(tiny.SHORT), atol=1e-4)


def test_a_term_is_a_product_of_two_thin_matrices() -> None:
    """Against numpy, one layer and one projection at a time: y + (x A) B."""
    layers = adapted(tiny.lab().model).params["layers"]
    for name in low_rank.PROJECTIONS:
        matrix, a, b = (np.asarray(layers[key], np.float64) for key in (name, f"{name}_a", f"{name}_b"))
        ins = 2 if name == "o" else 1
        inside = np.asarray(low_rank.merged({"layers": layers})["layers"][name])
        for layer in range(len(matrix)):
            term = np.tensordot(a[layer], b[layer], axes=1)
            assert a[layer].shape[:ins] == matrix[layer].shape[:ins]
            np.testing.assert_allclose(inside[layer], matrix[layer] + term, atol=1e-6)


def test_matrices_of_few_bits_take_the_term_in_float32() -> None:
    """The sum is rounded once; a term added in bfloat16 would be rounded before."""
    layers = adapted(tiny.lab().model).params["layers"]
    coarse = {name: leaf if name[-2:] in ("_a", "_b") else leaf.astype(jnp.bfloat16) for name, leaf in layers.items()}
    inside = low_rank.merged({"layers": coarse})["layers"]["q"]
    exact = np.asarray(low_rank.merged({"layers": layers})["layers"]["q"])  # the weights are bfloat16 values
    assert inside.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(inside), exact.astype(jnp.bfloat16))


def test_a_model_without_terms_is_the_program_that_it_was() -> None:
    """No operation and no parameter more: what a projection costs is its product, once."""
    model = tiny.lab().model
    placed = compiled.placed(jnp.asarray(tiny.SHORT), None, None, None)
    text = str(jax.make_jaxpr(lambda p: sequence.whole_text(model.wiring, p, tiny.SHORT, placed))(model.params))
    with_terms = adapted(model)
    more = str(jax.make_jaxpr(lambda p: sequence.whole_text(model.wiring, p, tiny.SHORT, placed))(with_terms.params))
    products = len(low_rank.PROJECTIONS) + 2  # queries with keys, weights with values
    assert text.count("dot_general[") == products
    assert more.count("dot_general[") == products + 2 * len(low_rank.PROJECTIONS)


def test_terms_lie_over_a_mesh_as_their_matrices_do() -> None:
    """A where the matrix reads, B where it writes: neither term nor matrix then has to move to meet the other."""
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:8]).reshape(4, 2), ("fsdp", "tensor"))
    layers = tiny.lab().params["layers"]
    for name in low_rank.PROJECTIONS:
        shape = layers[name].shape
        whole = tuple(partition_spec(("layers", name), shape, mesh))
        a, b = low_rank.factor_shapes(name, shape, 8)
        reads = len(a) - 1
        assert tuple(partition_spec(("layers", f"{name}_a"), a, mesh)) == (*whole[:reads], None)
        assert tuple(partition_spec(("layers", f"{name}_b"), b, mesh)) == (None, None, *whole[reads:])
