"""SmolLM2-135M-Instruct, read from its GGUF, is the model that transformers reads from the same file.

Eight hundred megabytes of float32 and a minute on two cores: the one place where a real pretrained model runs.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import ropelab
from ropelab.checkpoints.locate import find_smollm2

pytestmark = pytest.mark.slow
GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "smollm2.npz"))
IDS = GOLDEN["ids"]
SLOWEST = 1e5 ** (-62 / 64)  # radians per token of the last of 32 pairs


@pytest.fixture(scope="module")
def lab() -> ropelab.Lab:
    return ropelab.load("smollm2")


def test_what_the_weights_are_is_part_of_the_full_name(lab: ropelab.Lab) -> None:
    assert lab.name == "smollm2"
    assert lab.full_name == "smollm2 = SmolLM2-135M-Instruct, Q4_1 GGUF, computed in float32"


def test_losses_are_those_of_transformers(lab: ropelab.Lab) -> None:
    """Token by token over 2048 tokens of prose, not the mean, in which a swapped pair of heads can hide."""
    nll = np.asarray(lab.nll(IDS[None])[0])
    np.testing.assert_allclose(nll, GOLDEN["nll"], atol=2e-3)
    assert float(nll.mean()) == pytest.approx(float(GOLDEN["nll"].mean()), abs=1e-4)


def test_losses_in_parts_are_those_of_transformers(lab: ropelab.Lab) -> None:
    parts = np.concatenate(list(lab.model.nll_in_parts(IDS[None, :1025], part=600)), axis=1)
    np.testing.assert_allclose(parts[0], GOLDEN["nll"][:1024], atol=2e-3)


def test_the_most_probable_tokens_are_those_of_transformers(lab: ropelab.Lab) -> None:
    positions, count = GOLDEN["top_ids"].shape
    logits = np.asarray(lab.logits(IDS[None, :positions])[0])
    top = np.argsort(-logits, axis=-1, kind="stable")[:, :count]
    np.testing.assert_array_equal(top, GOLDEN["top_ids"])
    np.testing.assert_allclose(np.take_along_axis(logits, top, axis=-1), GOLDEN["top_logits"], atol=2e-3)


def test_the_tokenizer_gives_the_frozen_ids(lab: ropelab.Lab) -> None:
    assert lab.tokenizer is not None
    text = str(GOLDEN["text"])
    assert lab.tokenizer.encode(text) == IDS.tolist()
    assert lab.tokenizer.decode(IDS) == text


@pytest.mark.parametrize("spec", ["PI(factor=2.0)", "NTK(alpha=2.0)", "YaRN(factor=2.0, original_length=8192)"])
def test_a_swap_has_a_receipt(lab: ropelab.Lab, spec: str) -> None:
    """All three halve the slowest frequency. Position 0 is not turned, and YaRN's sharper scores change nothing where
    there is one key, so the first difference is at position 1."""
    receipt = lab.swap(spec).receipt()
    assert receipt.encoding.startswith(spec.split("(")[0] + "(base=100000.0, ")
    assert receipt.inv_freq_last == pytest.approx(SLOWEST / 2, rel=1e-6)
    assert receipt.first_position == 1
    assert receipt.max_logit_difference > 0.1
    assert (receipt.head_dim, receipt.trained_length, receipt.probe_tokens) == (64, 8192, 256)


def test_dynamic_ntk_has_a_receipt_of_another_kind(lab: ropelab.Lab) -> None:
    """It changes nothing within 8192 tokens, by definition, and must not be reported as not applied."""
    receipt = lab.swap("DynamicNTK(factor=2.0, original_length=8192)").receipt()
    assert "DynamicNTK is defined to be within original_length=8192" in receipt.statement
    assert receipt.first_position is not None
    assert receipt.first_position > 0
    assert receipt.max_logit_difference > 0.1


def test_the_unchanged_model_says_so(lab: ropelab.Lab) -> None:
    receipt = lab.receipt()
    assert (receipt.statement, receipt.max_logit_difference) == ("the model as loaded", 0.0)
    assert receipt.inv_freq_last == pytest.approx(SLOWEST)


def test_the_frozen_numbers_are_of_the_file_that_is_read() -> None:
    digest = hashlib.sha256(find_smollm2().read_bytes()).hexdigest()
    assert digest == json.loads(str(GOLDEN["source"]))["gguf_sha256"]


def test_it_knows_the_capital_of_france(lab: ropelab.Lab) -> None:
    assert "Paris" in lab.generate("The capital of France is", max_new_tokens=8)
    assert "Paris" in lab.swap("YaRN(factor=2.0, original_length=8192)").generate("The capital of France is")
