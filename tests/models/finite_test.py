"""A model that computes NaN is refused wherever it is measured, used or exported, by the place where that begins."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import ropelab
from ropelab.cli import export, generate
from ropelab.evaluation.answers import score_batch
from ropelab.evaluation.attention_taps import ScoreByDistance
from ropelab.evaluation.capture import capture
from ropelab.evaluation.receipt import NothingAppliedError
from ropelab.lab import Lab
from ropelab.models.finite import NonFiniteError, check_finite, locate_nonfinite
from ropelab.models.module import Model, Parameters
from tests.models import tiny

TOKENS = np.random.default_rng(0).integers(0, tiny.VOCABULARY, (1, 24))


def damaged(layer: int = 1, name: str = "gate", value: float = np.nan) -> Lab:
    """The tiny model with one value of one matrix replaced."""
    lab = tiny.lab(tokenizer=True)
    leaf = lab.params["layers"][name]
    layers = lab.params["layers"] | {name: leaf.at[(layer, *(0,) * (leaf.ndim - 1))].set(value)}
    model = Model(lab.model.wiring, Parameters(lab.params | {"layers": layers}))
    return dataclasses.replace(lab, model=model, original=model)


USES = {
    "the receipt of the model as loaded": lambda lab, folder: lab.receipt(),
    "the receipt of a swap that would change nothing": lambda lab, folder: lab.swap(
        "Temperature(inner=RoPE(), interval=8192)"
    ).receipt(),
    "nll": lambda lab, folder: lab.nll(TOKENS),
    "nll in parts": lambda lab, folder: list(lab.model.nll_in_parts(TOKENS, part=8)),
    "generate": lambda lab, folder: lab.generate("abc", max_new_tokens=2),
    "attention": lambda lab, folder: capture(lab.model, TOKENS, {"scores": ScoreByDistance()}),
    "a question": lambda lab, folder: score_batch(lab.model, [0], [[1, 2, 3]], [1]),
    "export": lambda lab, folder: lab.export(folder / "out"),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_model_with_a_nan_is_refused_and_the_tensor_named(use, tmp_path):
    with pytest.raises(NonFiniteError, match="layers/gate are not, first in layer 1"):
        use(damaged(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_whoever_studies_it_may(tmp_path):
    lab = damaged()
    with ropelab.allow_nonfinite():
        assert np.isnan(np.asarray(lab.nll(TOKENS))).all()
        assert lab.receipt().statement == "the model as loaded"
    with pytest.raises(NonFiniteError):
        lab.nll(TOKENS)


def test_nan_on_both_sides_proves_nothing():
    with ropelab.allow_nonfinite(), pytest.raises(NothingAppliedError):
        damaged().swap("PI(factor=2.0)").receipt()


@pytest.mark.parametrize(
    ("encoding", "place"),
    [
        ("Temperature(inner=RoPE(), interval=1, scale=1e38)", "of layer 0 are the first that are not"),
        ("FIRE(c=1e300)", "the parameter encoding/0/c"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_an_encoding_that_overflows_is_refused(encoding: str, place: str):
    swapped = tiny.lab().swap(encoding)
    with pytest.raises(NonFiniteError, match=place):
        swapped.nll(TOKENS)


def test_the_first_layer_that_overflows_is_named():
    assert "the outputs of layer 1" in locate_nonfinite(damaged(value=3e38).model, TOKENS)


def test_finite_numbers_pass():
    check_finite(tiny.lab().model, jnp.ones(3), TOKENS, "losses")


def weights_with_a_nan(folder):
    """A Hugging Face directory whose first layer's MLP holds one NaN."""
    weights = {name: value.copy() for name, value in tiny.tensors().items()}
    weights["model.layers.0.mlp.gate_proj.weight"][0, 0] = np.nan
    return tiny.write(folder, weights=weights, tokenizer=True)


def test_commands_refuse_it_in_one_line_unless_allowed(tmp_path, capsys):
    model = weights_with_a_nan(tmp_path / "model")
    asked = ["generate", f"--model={model}", "--prompt=abc", "--max_new_tokens=2"]
    assert generate.main(asked) == 2
    assert "layers/gate are not, first in layer 0" in capsys.readouterr().err.strip().splitlines()[-1]
    assert generate.main([*asked, "--allow_nonfinite"]) == 0
    written = ["export", f"--run={model}", f"--to={tmp_path / 'out'}"]
    assert export.main(written) == 2
    assert not (tmp_path / "out").exists()
    assert export.main([*written, "--allow_nonfinite"]) == 0
