"""A LongNet is what a loop over its definition computes, and what its authors' code computes, however it is run."""

import functools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from configs.longnet import SIZES, get_config
from ropelab import encodings
from ropelab.attention import patterns
from ropelab.attention.patterns import Causal, Dilated
from ropelab.encodings import RoPE, XPos
from ropelab.evaluation.receipt import receipt
from ropelab.models import (
    Llama,
    LlamaConfig,
    LongNetConfig,
    Model,
    Parameters,
    Wiring,
    compiled,
    from_scratch,
    generation,
    parse,
)
from ropelab.models.longnet import geometric
from ropelab.models.parameters import shapes
from ropelab.models.sharding import partition_spec
from tests.models.longnet_loop import looped_logits, to_tree

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "longnet.npz"))
SIZE = LongNetConfig(
    vocabulary=61, width=32, layers=2, heads=4, head_dim=8, feed_forward=64, norm_eps=1e-5, trained_length=24
)
XPOS = XPos(base=1e4, pairing="interleaved", scale_base=16)
DILATED = Dilated(segments=(6, 24), rates=(1, 3))  # heads 0 and 3 keep the same tokens, 1 and 2 others
TOKENS = np.random.default_rng(7).permutation(61)[None, :24]  # no token twice
EXACT = 2e-5  # float32 is off by 3e-6, logits of deviation 1.4; other offsets of the heads move them by 4


@functools.cache
def fresh() -> Model:
    return from_scratch(SIZE, XPOS, DILATED, seed=3)


@functools.cache
def model() -> Model:
    """With noise on every parameter, so that no bias is 0 and no gain 1."""
    rng = np.random.default_rng(11)
    noisy = jax.tree.map(lambda x: jnp.asarray(x + 0.2 * rng.standard_normal(x.shape), x.dtype), fresh().params)
    return Model(fresh().wiring, Parameters(noisy))


@functools.cache
def logits() -> np.ndarray:
    return np.asarray(model().logits(TOKENS))


def test_the_whole_decoder_is_that_of_a_loop_in_float64() -> None:
    expected = looped_logits(model().params, TOKENS[0], SIZE, DILATED.branches, XPOS)
    np.testing.assert_allclose(logits()[0], expected, atol=EXACT)
    assert np.abs(looped_logits(model().params, TOKENS[0], SIZE, ((24, 1),), XPOS) - expected).max() > 0.1


def test_dense_logits_are_those_of_the_authors_code() -> None:
    params, wiring = to_tree(GOLDEN, SIZE), Wiring(SIZE, XPOS, Causal(), "dense")
    found = compiled.logits(wiring, params, GOLDEN["tokens"], None, None, length=None)
    np.testing.assert_allclose(found, GOLDEN["logits/dense"], atol=EXACT)


def test_dilated_logits_and_gradients_are_those_of_the_authors_code() -> None:
    """torchscale's offsets are contiguous, and no gradient goes through its mixing weights."""
    theirs = Dilated(segments=(8, 16, 48), rates=(1, 2, 4), head_offset="contiguous", mix_gradient=False)
    params, tokens_BT = to_tree(GOLDEN, SIZE), jnp.asarray(GOLDEN["tokens"])

    def loss(embedding: jax.Array) -> tuple[jax.Array, jax.Array]:
        wiring, changed = Wiring(SIZE, XPOS, theirs, "dense"), params | {"embedding": embedding}
        found = compiled.logits(wiring, changed, tokens_BT, None, None, length=None)
        log_p = jax.nn.log_softmax(found[:, :-1])
        return -jnp.mean(jnp.take_along_axis(log_p, tokens_BT[:, 1:, None], axis=-1)), found

    gradient, found = jax.jit(jax.grad(loss, has_aux=True))(params["embedding"])
    np.testing.assert_allclose(found, GOLDEN["logits/dilated"], atol=EXACT)
    np.testing.assert_allclose(gradient, GOLDEN["gradients/dilated"], atol=1e-6)  # up to 0.06


def test_decoding_from_the_cache_is_the_full_forward() -> None:
    np.testing.assert_allclose(model().decode_logits(TOKENS, prefill=9), logits(), atol=EXACT)


def test_the_likelihood_is_that_of_the_logits_whole_and_in_parts() -> None:
    log_p = logits() - np.logaddexp.reduce(logits().astype(np.float64), axis=-1, keepdims=True)
    expected = -np.take_along_axis(log_p[:, :-1], TOKENS[:, 1:, None], axis=-1)[..., 0]
    np.testing.assert_allclose(model().nll(TOKENS), expected, atol=EXACT)
    np.testing.assert_allclose(np.concatenate(list(model().nll_in_parts(TOKENS, part=8)), axis=1), expected, atol=EXACT)


def test_generation_is_the_most_probable_token_again_and_again() -> None:
    prompts = [TOKENS[0, :5].tolist(), TOKENS[0, 4:13].tolist()]
    for prompt, added in zip(prompts, np.stack(list(generation.tokens(model(), prompts, 3)), axis=1), strict=True):
        whole = (prompt + added.tolist() + [0] * 24)[:24]  # what follows a token changes nothing before it
        best = np.asarray(model().logits([whole])).argmax(axis=-1)
        np.testing.assert_array_equal(best[0, len(prompt) - 1 :][:3], added)


def test_a_receipt_proves_a_swap() -> None:
    swapped = model().rewired(RoPE(base=1e4), Causal(), "dense")
    proof = receipt(swapped, model(), TOKENS, name="noise")
    assert (proof.encoding, proof.model, proof.trained_length) == ("RoPE(base=10000.0)", "noise", 24)
    assert proof.first_position == 1
    assert proof.max_logit_difference > 0.01


def test_gradients_are_finite_reach_every_parameter_and_come_from_no_later_token() -> None:
    """Each token of the row is another row of the embedding table, and the head is not tied to it."""
    weights = jnp.asarray(np.random.default_rng(2).normal(size=(10, 61)))

    def early(params: dict) -> jax.Array:
        found = compiled.logits(model().wiring, params, jnp.asarray(TOKENS), None, None, length=None)
        return jnp.sum(weights * found[0, :10])

    gradients = jax.jit(jax.grad(early))(model().params)
    for path, leaf in jax.tree.leaves_with_path(gradients):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)
        assert np.abs(leaf).max() > 0, jax.tree_util.keystr(path)
    by_token = np.abs(gradients["embedding"][TOKENS[0]]).max(axis=-1)
    assert (by_token[:10] > 0).all()
    np.testing.assert_array_equal(by_token[10:], 0.0)


def test_fresh_parameters_have_magnetos_deviations() -> None:
    """Xavier's, times sqrt(log(2 L)) but for q and k; 1024 values and more of each: 2 % either way."""
    params, gain = fresh().params, math.sqrt(math.log(4))
    square, oblong = math.sqrt(2 / (32 + 32)), math.sqrt(2 / (32 + 64))
    expected = {"q": square, "k": square, "v": gain * square, "o": gain * square}
    expected |= {"up": gain * oblong, "down": gain * oblong}
    assert jax.tree.map(np.shape, params) == shapes(SIZE)
    for name, leaf in params["layers"].items():
        if name in expected:
            assert float(leaf.std()) == pytest.approx(expected[name], rel=0.06), name
        else:
            np.testing.assert_array_equal(leaf, 0.0 if name.endswith("bias") else 1.0, err_msg=name)
    assert float(params["embedding"].std()) == pytest.approx(32**-0.5, rel=0.06)
    assert float(params["head"].std()) == pytest.approx(32**-0.5, rel=0.06)


def test_every_parameter_has_its_place_on_a_mesh() -> None:
    mesh = Mesh(np.asarray(jax.devices()[:4]).reshape(2, 2), ("fsdp", "tensor"))
    flat, _ = jax.tree.flatten_with_path(shapes(SIZE), is_leaf=lambda x: isinstance(x, tuple))
    placed = {path[-1].key: partition_spec(tuple(p.key for p in path), shape, mesh) for path, shape in flat}
    assert placed["up"] == P(None, "fsdp", "tensor")
    assert placed["down"] == P(None, "tensor", "fsdp")
    assert placed["o"] == P(None, "tensor", None, "fsdp")
    assert placed["mixed_norm"] == P(None, None)


def test_one_path_makes_models_of_every_family() -> None:
    """The same call makes a Llama, whose tables are drawn along."""
    llama = LlamaConfig(
        vocabulary=61, width=32, layers=2, heads=4, key_heads=2, head_dim=8, feed_forward=64, norm_eps=1e-5,
        trained_length=24, tied_head=True,
    )  # fmt: skip
    made = from_scratch(llama, encodings.parse("T5Bias()"), Causal(), seed=0, dtype="bfloat16")
    assert isinstance(made, Llama)
    assert jax.tree.map(np.shape, {n: x for n, x in made.params.items() if n != "encoding"}) == shapes(llama)
    assert made.params["layers"]["q"].dtype == jnp.bfloat16
    assert made.params["encoding"]["0"]["table"].shape == (32, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": "fast"}, "unknown kernel 'fast'"),
        ({"dtype": "int8"}, "dtype='int8' holds no parameters"),
        ({"encoding": RoPE(base=1e4, rotary_dim=18)}, "rotary_dim=18 exceeds head_dim=8"),
    ],
)
def test_a_model_that_cannot_be_made_says_why(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_scratch(**{"config": SIZE, "encoding": XPOS, "pattern": DILATED, "seed": 0} | change)


def test_sizes_are_values_that_are_read_as_they_are_written() -> None:
    assert parse(repr(SIZE)) == SIZE
    assert (SIZE.key_heads, hash(SIZE)) == (4, hash(parse(repr(SIZE))))
    with pytest.raises(ValueError, match="heads=0 must be at least 1"):
        parse(repr(SIZE).replace("heads=4", "heads=0"))
    with pytest.raises(ValueError, match="Did you mean LongNetConfig"):
        parse("LongNet(width=3)")


def test_segments_and_rates_grow_together() -> None:
    assert geometric(4, 24) == Dilated(segments=(4, 8, 16), rates=(1, 2, 4))
    assert geometric(5, 5) == Dilated(segments=(5,), rates=(1,))
    assert geometric(10, 1000, ratio=10) == Dilated(segments=(10, 100, 1000), rates=(1, 10, 100))
    with pytest.raises(ValueError, match="ratio=1"):
        geometric(4, 8, ratio=1)
    with pytest.raises(ValueError, match="segment=9, longest=8"):
        geometric(9, 8)


@pytest.mark.parametrize(("size", "parameters"), [("paper", 239_173_632), ("tiny", 864_000)])
def test_the_configurations_say_what_they_make(size: str, parameters: int) -> None:
    config = get_config(size)
    model, pattern, encoding = (
        parse(config.model), patterns.parse(config.pattern), encodings.parse(config.encoding),
    )  # fmt: skip
    assert (model, pattern) == SIZES[size]
    encoding.check(model.head_dim)
    leaves = jax.tree.leaves(shapes(model), is_leaf=lambda x: isinstance(x, tuple))
    assert sum(math.prod(shape) for shape in leaves) == parameters
    assert pattern.segments[-1] == model.trained_length


def test_the_papers_list_as_printed_is_refused() -> None:
    with pytest.raises(ValueError, match="a segment of 16384 is no multiple of its rate 6"):
        Dilated(segments=(2048, 4096, 8192, 16384, 32768), rates=(1, 2, 4, 6, 12))
    with pytest.raises(ValueError, match="no size 'small'"):
        get_config("small")
