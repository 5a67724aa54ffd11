"""Where tokens stand is an argument: positions and documents are arrays, and rows know nothing of each other."""

import numpy as np
import pytest

from tests.models import tiny

RELATIVE = ["RoPE(base=1e4)", "DynamicNTK(factor=2.0, original_length=16)"]
PACKED = tiny.SHORT.reshape(1, 48)
SEGMENTS = np.repeat([[3, 7]], 24, axis=1)
RESTARTING = np.tile(np.arange(24), 2)[None]


@pytest.mark.parametrize("encoding", RELATIVE)
def test_packed_documents_are_separate_documents(encoding: str) -> None:
    """Positions restart with each document, so the length that counts is that of the longest, not of the row."""
    lab = tiny.lab().swap(encoding)
    packed = lab.logits(PACKED, positions=RESTARTING, segments=SEGMENTS)
    np.testing.assert_allclose(packed.reshape(2, 24, -1), lab.logits(tiny.SHORT), atol=1e-4)


def test_documents_of_a_row_are_hidden_from_each_other_wherever_they_stand() -> None:
    lab = tiny.lab()
    running_on = lab.logits(PACKED, segments=SEGMENTS)
    np.testing.assert_allclose(running_on.reshape(2, 24, -1), lab.logits(tiny.SHORT), atol=2e-4)
    assert np.abs(lab.logits(PACKED)[:, 24:] - running_on[:, 24:]).max() > 0.1


def test_the_likelihood_knows_positions_and_documents_too() -> None:
    lab = tiny.lab()
    packed = lab.nll(PACKED, positions=RESTARTING, segments=SEGMENTS)
    separate = lab.nll(tiny.SHORT)
    np.testing.assert_allclose(packed[0, :23], separate[0], atol=1e-4)
    np.testing.assert_allclose(packed[0, 24:], separate[1], atol=1e-4)


@pytest.mark.parametrize("encoding", RELATIVE)
def test_positions_given_are_positions_counted(encoding: str) -> None:
    lab = tiny.lab().swap(encoding)
    counted = lab.logits(tiny.SHORT)
    np.testing.assert_allclose(lab.logits(tiny.SHORT, positions=np.arange(24)), counted, atol=1e-4)


def test_shifted_positions_change_nothing_and_stretched_ones_do() -> None:
    """RoPE is relative; a model that ignored its positions would pass the first half alone."""
    lab = tiny.lab()
    counted = lab.logits(tiny.SHORT)
    np.testing.assert_allclose(lab.logits(tiny.SHORT, positions=np.arange(24) + 4096), counted, atol=2e-3)
    assert np.abs(lab.logits(tiny.SHORT, positions=2 * np.arange(24)) - counted).max() > 0.1


def test_rows_of_a_batch_are_independent() -> None:
    """The same program on another first row gives the second row bit for bit."""
    lab = tiny.lab()
    other = tiny.SHORT.copy()
    other[0] = (other[0] + 1) % tiny.VOCABULARY
    before, after = np.asarray(lab.logits(tiny.SHORT)), np.asarray(lab.logits(other))
    np.testing.assert_array_equal(before[1], after[1])
    assert np.abs(before[0] - after[0]).max() > 0.1


def test_later_tokens_change_nothing_earlier() -> None:
    lab = tiny.lab()
    other = tiny.SHORT.copy()
    other[:, 15:] = (other[:, 15:] + 1) % tiny.VOCABULARY
    before, after = np.asarray(lab.logits(tiny.SHORT)), np.asarray(lab.logits(other))
    np.testing.assert_array_equal(before[:, :15], after[:, :15])
    assert np.abs(before[:, 15:] - after[:, 15:]).max(axis=(0, 2)).min() > 0.01


def test_a_declared_length_is_that_of_the_frequencies() -> None:
    """Five tokens of a text of 80 are encoded as in that text, where the encoding looks at the length."""
    model = tiny.lab("dynamic_2").model
    whole = np.asarray(model.logits(tiny.LONG))[:, :5]
    np.testing.assert_allclose(model.logits(tiny.LONG[:, :5], length=80), whole, atol=1e-4)
    assert np.abs(model.logits(tiny.LONG[:, :5]) - whole).max() > 0.01
