"""Texts of different lengths in one call are scored as each is alone."""

import numpy as np
import pytest

from tests.models import tiny

rng = np.random.default_rng(0)
TEXTS = [rng.integers(0, tiny.VOCABULARY, length).tolist() for length in (24, 9, 17)]


@pytest.mark.parametrize("encoding", ["RoPE", "ALiBi()", "DynamicNTK(factor=2.0, original_length=8)"])
def test_each_text_scores_as_it_does_alone(encoding: str):
    lab = tiny.lab().swap(encoding)
    for found, text in zip(lab.nll(TEXTS), TEXTS, strict=True):
        np.testing.assert_allclose(found, np.asarray(lab.nll([text]))[0], atol=2e-5)


def test_what_has_no_meaning_for_them_is_refused():
    lab = tiny.lab()
    with pytest.raises(ValueError, match="24, 9, 17"):
        lab.logits(TEXTS)
    with pytest.raises(ValueError, match="positions"):
        lab.nll(TEXTS, positions=np.arange(24))
    with pytest.raises(ValueError, match="text 1 has 1 tokens"):
        lab.nll([[1, 2], [3]])
