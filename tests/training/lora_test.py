"""What is trained is what was named, the model begins as it was, and merging changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.models import compiled
from ropelab.models.family import Tree
from ropelab.models.longnet import LongNetConfig
from ropelab.models.module import Model, Parameters
from ropelab.models.parameters import initialise
from ropelab.training.lora import Adaptation, Full, LoRA, parse
from tests.models import tiny
from tests.training.moving import moved

KEY = jax.random.key(0)
LONGLORA = LoRA(also=("embedding", "norms"))
FACTORS = {f"{name}_{part}" for name in "qkvo" for part in "ab"}
UNTIED = "default_5e5_untied"


def names(tree: Tree) -> set[str]:
    return {"/".join(key.key for key in path) for path, _ in jax.tree.leaves_with_path(tree)}


def logits(params: Tree) -> np.ndarray:
    return np.asarray(Model(tiny.lab().model.wiring, Parameters(params)).logits(tiny.SHORT))


@pytest.mark.parametrize(
    ("lora", "trained"),
    [
        (LoRA(), {f"layers/{name}" for name in FACTORS}),
        (LoRA(targets=("down",)), {"layers/down_a", "layers/down_b"}),
        (
            LONGLORA,
            {f"layers/{name}" for name in FACTORS | {"attention_norm", "mlp_norm"}} | {"embedding", "norm"},
        ),
        (LoRA(targets=("q",), also=("head",)), {"layers/q_a", "layers/q_b", "head"}),
    ],
    ids=["LoRA", "one matrix", "LongLoRA", "head"],
)
def test_exactly_what_is_named_is_trained(lora: LoRA, trained: set[str]) -> None:
    params = tiny.lab(UNTIED).params
    trainable, frozen = lora.split(KEY, params)
    assert names(trainable) == trained
    factors = {name for name in trained if name[-2:] in ("_a", "_b")}
    assert names(frozen) == names(params) - (trained - factors)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(trainable))


@pytest.mark.parametrize("adaptation", [Full(), LoRA(), LONGLORA], ids=repr)
def test_a_model_begins_as_it_was(adaptation: Adaptation) -> None:
    """B is zero: whatever A is, it adds nothing, bit for bit; and merged are the same parameters.

    The model without the terms is another program, which XLA may round otherwise: 6e-6 apart on jax 0.12 for AVX2.
    """
    params = tiny.lab().params
    trainable, frozen = adaptation.split(KEY, params)
    with_another_a, _ = adaptation.split(jax.random.key(1), params)
    begun, unadapted = logits(adaptation.join(trainable, frozen)), tiny.lab().logits(tiny.SHORT)
    np.testing.assert_array_equal(logits(adaptation.join(with_another_a, frozen)), begun)
    np.testing.assert_allclose(begun, unadapted, rtol=0, atol=2e-6 * np.abs(unadapted).max())
    jax.tree.map(np.testing.assert_array_equal, adaptation.merge(trainable, frozen), params)


def test_merging_changes_nothing() -> None:
    params = tiny.lab().params
    trainable, frozen = LONGLORA.split(KEY, params)
    trainable = moved(trainable)
    merged = LONGLORA.merge(trainable, frozen)
    assert names(merged) == names(params)
    apart = logits(LONGLORA.join(trainable, frozen))
    assert np.abs(apart - tiny.lab().logits(tiny.SHORT)).max() > 1
    np.testing.assert_allclose(logits(merged), apart, atol=1e-5 * np.abs(apart).max())


@pytest.mark.parametrize(("rank", "alpha"), [(8, 16.0), (4, 1.0), (3, 3.0)])
def test_the_factor_is_alpha_over_rank(rank: int, alpha: float) -> None:
    lora = LoRA(rank=rank, alpha=alpha, targets=("o",))
    trainable, frozen = lora.split(KEY, tiny.lab().params)
    trainable = moved(trainable)
    a, b = (np.asarray(trainable["layers"][f"o_{part}"], np.float64) for part in "ab")
    term = np.einsum("LNHR,LRD->LNHD", a, b)
    merged = np.asarray(lora.merge(trainable, frozen)["layers"]["o"]) - np.asarray(frozen["layers"]["o"])
    np.testing.assert_allclose(merged, alpha / rank * term, atol=2e-6)


def test_gradients_are_of_what_is_trained_alone() -> None:
    """Nothing frozen has one, and of what is trained all but A have one at the first step, as B is zero."""
    lora = LONGLORA
    trainable, frozen = lora.split(KEY, tiny.lab().params)
    wiring, tokens = tiny.lab().model.wiring, jnp.asarray(tiny.SHORT)

    def loss(trainable: Tree) -> jax.Array:
        return compiled.nll(wiring, lora.join(trainable, frozen), tokens, None, None, length=None).mean()

    gradient = jax.grad(loss)(trainable)
    assert names(gradient) == names(trainable)
    for path, leaf in jax.tree.leaves_with_path(gradient):
        assert (np.abs(leaf).max() > 0) == (not path[-1].key.endswith("_a")), path


def test_the_first_a_is_uniform_within_one_over_the_root_of_its_inputs() -> None:
    """As PEFT draws it; the same whichever other projections are adapted."""
    params = tiny.lab().params
    layers = LoRA(rank=64, targets=("q", "o", "down")).split(KEY, params)[0]["layers"]
    for name, inputs in {"q": 64, "o": 64, "down": 96}.items():
        a, bound = np.asarray(layers[f"{name}_a"]), inputs**-0.5
        assert np.abs(a).max() <= bound
        assert np.abs(a).max() > 0.99 * bound
        assert abs(a.std() - bound / 3**0.5) < 0.02 * bound
        assert not np.asarray(layers[f"{name}_b"]).any()
    alone = LoRA(rank=64, targets=("o",)).split(KEY, params)[0]["layers"]["o_a"]
    np.testing.assert_array_equal(alone, layers["o_a"])
    assert np.abs(layers["q_a"][0] - layers["q_a"][1]).max() > 0.01


def test_an_encoding_s_tables_are_trained_under_every_adaptation() -> None:
    params = tiny.lab().swap("T5Bias()").params
    trainable, frozen = LoRA().split(KEY, params)
    jax.tree.map(np.testing.assert_array_equal, trainable["encoding"], params["encoding"])
    assert "encoding" not in frozen
    coarse = jax.tree.map(lambda x: x.astype(jnp.bfloat16), frozen)
    assert LoRA().join(trainable, coarse)["encoding"]["0"]["table"].dtype == jnp.float32


def test_frozen_weights_of_few_bits_are_the_type_computed_in() -> None:
    """What is trained keeps float32, in which a step of 1e-5 is not lost."""
    params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), tiny.lab().params)
    trainable, frozen = LONGLORA.split(KEY, params)
    assert {x.dtype.name for x in jax.tree.leaves(trainable)} == {"float32"}
    for tree in (LONGLORA.join(trainable, frozen), LONGLORA.merge(trainable, frozen)):
        assert {x.dtype.name for x in jax.tree.leaves(tree)} == {"bfloat16"}


def test_a_longnet_s_norms_are_all_of_them_and_it_has_no_gate() -> None:
    config = LongNetConfig(
        vocabulary=11, width=8, layers=2, heads=2, head_dim=4, feed_forward=12, norm_eps=1e-5, trained_length=32
    )
    params = initialise(KEY, config)
    trained = names(LoRA(also=("norms",)).split(KEY, params)[0])
    assert {name for name in names(params) if "norm" in name} < trained
    with pytest.raises(ValueError, match="no projection 'gate'; it has q, k, v, o, up, down"):
        LoRA(targets=("gate",)).split(KEY, params)


@pytest.mark.parametrize("adaptation", [Full(), LoRA(), LONGLORA, LoRA(rank=4, alpha=2.0, targets=("q", "v"))])
def test_a_spec_is_read_back(adaptation: Adaptation) -> None:
    assert parse(repr(adaptation)) == adaptation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Lora()", "Did you mean LoRA"),
        ("LoRA(ranks=4)", "Did you mean rank"),
        ("LoRA(rank=0)", "rank=0 must be at least 1"),
        ("LoRA(alpha=0)", "alpha=0.0 must be positive"),
        ("LoRA(targets=('qq',))", "targets='qq' is not allowed"),
        ("LoRA(targets=())", "adapts no matrix"),
        ("LoRA(targets=('q', 'q'))", "names something twice"),
        ("LoRA(also=('bias',))", "also='bias' is not allowed"),
    ],
)
def test_what_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_a_head_that_is_the_embedding_is_trained_by_that_name() -> None:
    with pytest.raises(ValueError, match="name 'embedding' for both"):
        LoRA(also=("head",)).split(KEY, tiny.lab().params)


def test_terms_are_not_put_beside_terms() -> None:
    joined = LoRA().join(*LoRA().split(KEY, tiny.lab().params))
    with pytest.raises(ValueError, match="low-rank terms beside q, k, v, o already; merge them first"):
        LoRA().split(KEY, joined)
