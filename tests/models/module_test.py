"""The Flax model is a container: its state is the parameters, and a swap shares them."""

from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from ropelab.encodings import ALL, PI, ALiBi, RoPE
from ropelab.models.llama import initial_leaf
from ropelab.models.parameters import fingerprint, initialise, shapes
from tests.models import tiny


def buffers(tree: Any) -> list[int]:
    return [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(tree)]


def test_a_swap_copies_nothing() -> None:
    lab = tiny.lab()
    for encoding in ALL:
        weights = {name: leaf for name, leaf in lab.swap(encoding).params.items() if name != "encoding"}
        assert buffers(weights) == buffers(lab.params)


def test_a_swap_leaves_the_lab_it_came_from_alone() -> None:
    lab = tiny.lab()
    other = lab.swap("PI(factor=2.0)", "SlidingWindow(window=4)", "blockwise")
    assert repr(other.encoding) == "PI(base=10000.0, factor=2.0)"
    assert repr(other.pattern) == "SlidingWindow(window=4)"
    assert other.model.wiring.kernel == "blockwise"
    assert lab.encoding == RoPE(base=1e4)
    assert lab.model is lab.original


def test_fields_left_out_come_from_the_checkpoint_not_from_the_last_swap() -> None:
    lab = tiny.lab("default_5e5")
    swapped = lab.swap("PI(base=100.0, factor=3.0)").swap("PI(factor=2.0)")
    assert swapped.encoding == PI(base=5e5, factor=2.0)
    assert lab.swap(ALiBi()).swap("NTK(alpha=2.0)").encoding.base == 5e5  # type: ignore[attr-defined]


def test_none_leaves_what_was_plugged_in() -> None:
    swapped = tiny.lab().swap("ALiBi", "SlidingWindow(window=4)")
    assert swapped.swap(pattern="Causal").encoding == ALiBi()
    assert swapped.swap("NoPE").pattern == swapped.pattern


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoding": "Yarn(factor=2.0, original_length=32)"}, "Did you mean YaRN"),
        ({"encoding": "PI(facter=2.0)"}, "Did you mean factor"),
        ({"encoding": "PI(factor=0.5)"}, "factor=0.5"),
        ({"encoding": "RoPE(rotary_dim=18)"}, "rotary_dim=18 exceeds head_dim=16"),
        ({"encoding": "RoPE(rotary_dim=7)"}, "rotary_dim=7 must be even"),
        ({"pattern": "SlidingWindow(window=0)"}, "window=0"),
        ({"kernel": "fast"}, "unknown kernel 'fast'"),
    ],
)
def test_a_swap_that_cannot_be_says_why(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny.lab().swap(**arguments)


@pytest.mark.parametrize("variant", ["biased", "default_5e5_untied"])
def test_the_state_is_the_parameters_and_no_more(variant: str) -> None:
    model = tiny.lab(variant).model
    state = jax.tree.leaves_with_path(nnx.to_pure_dict(nnx.state(model)))
    expected = {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(model.params)}
    assert {jax.tree_util.keystr(p).removeprefix("['parameters']"): x.shape for p, x in state} == expected
    assert jax.tree.map(np.shape, model.params) == shapes(model.config)


def test_a_model_taken_apart_and_put_together_is_the_model() -> None:
    model = tiny.lab().model
    again = nnx.merge(*nnx.split(model))
    assert again.wiring == model.wiring
    np.testing.assert_array_equal(again.logits(tiny.SHORT), model.logits(tiny.SHORT))


def test_the_fingerprint_tells_weights_apart() -> None:
    """One value of one leaf, and it is another model; the same weights again are the same model."""
    params = tiny.lab().params
    assert fingerprint(params) == fingerprint(jax.tree.map(np.asarray, params))
    assert len(fingerprint(params)) == 12
    for name, leaf in params["layers"].items():
        changed = (
            leaf.at[(-1,) * leaf.ndim].add(1.0) if leaf.shape[-1] <= 64 else leaf.at[(-1,) * (leaf.ndim - 1)].add(1.0)
        )
        assert fingerprint(params | {"layers": params["layers"] | {name: changed}}) != fingerprint(params), name


def test_random_parameters_have_the_declared_shapes_and_gpt2_deviations() -> None:
    """What writes into the residual stream is smaller by sqrt(2 L), here by 2."""
    config, key = tiny.lab("biased").config, jax.random.key(3)
    drawn = jax.eval_shape(lambda k: initialise(k, config), key)
    assert jax.tree.map(lambda x: x.shape, drawn) == shapes(config)
    for name, deviation in {"q": 0.02, "down": 0.01, "k_bias": 0.0}.items():
        leaf = initial_leaf(key, name, shapes(config)["layers"][name], config, np.float32)
        assert float(np.asarray(leaf).std()) == pytest.approx(deviation, rel=0.05), name


def test_a_lab_prints_in_one_line():
    lab = tiny.lab(tokenizer=True).swap("YaRN(factor=2)")
    assert repr(lab).startswith("Lab(")
    assert repr(lab).endswith("68k float32, YaRN(base=10000.0, factor=2.0, original_length=32), Causal())")
    assert len(repr(lab)) < 200


@pytest.mark.parametrize("spec", ["YaRN(factor=2)", "LogN(inner=DynamicNTK(factor=2.0))", "Layers((NoPE(), FoPE()))"])
def test_the_trained_length_is_inherited(spec: str):
    assert "original_length=32" in repr(tiny.lab().swap(spec).encoding)


def test_every_public_name_is_listed():
    import ropelab

    assert set(ropelab.__all__) <= set(dir(ropelab))
    assert {"load", "Lab", "encodings", "attention"} <= set(dir(ropelab))
