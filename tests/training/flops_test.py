"""The arithmetic of a step, counted by hand for a small model."""

import pytest

from ropelab import models
from ropelab.attention.patterns import Causal, Dilated, SlidingWindow
from ropelab.encodings import NoPE
from ropelab.models.config import Wiring
from ropelab.training.flops import flops_per_token, mean_keys_per_query, peak_flops
from tests.training.tiny import MODEL

CONFIG = models.parse(MODEL)


@pytest.mark.parametrize(
    "pattern, keys",
    [
        (Causal(), (16 + 1) / 2),
        (SlidingWindow(window=4), (1 + 2 + 3 + 13 * 4) / 16),
        (Dilated(segments=(4,), rates=(1,)), 2.5),
    ],
)
def test_keys_are_counted_from_the_pattern(pattern, keys):
    assert mean_keys_per_query(Wiring(CONFIG, NoPE(), pattern), 16) == pytest.approx(keys)


def test_a_step_s_arithmetic_by_hand():
    """16 wide, 2 layers of 4 square matrices and 3 of 16 x 32, a head of 32 words; 8.5 keys for 2 heads of 8."""
    matrices = 2 * (4 * 16 * 16 + 3 * 16 * 32) + 32 * 16
    attention = 2 * (2 + 2) * 2 * 8 * 8.5
    assert flops_per_token(Wiring(CONFIG, NoPE(), Causal()), 16, frozen=False) == 6 * matrices + 3 * attention
    assert flops_per_token(Wiring(CONFIG, NoPE(), Causal()), 16, frozen=True) == 4 * matrices + 3 * attention


def test_the_peak_of_a_processor_is_measured():
    rate, source = peak_flops()
    assert 1e9 < rate < 1e13
    assert "measured" in source
