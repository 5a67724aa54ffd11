"""Deviations: of a mean the one in the books, of anything else the jackknife's, and the same in parts as at once."""

import math

import numpy as np
import pytest

from ropelab.evaluation import attention_resolution
from ropelab.evaluation.intervals import jackknife_deviation, sample_deviation


def test_of_a_mean_it_is_the_standard_deviation() -> None:
    x = np.random.default_rng(0).normal(size=30)
    assert jackknife_deviation(lambda at: float(x[at].mean()), 30) == pytest.approx(x.std(ddof=1), rel=1e-9)
    assert sample_deviation(x) == pytest.approx(x.std(ddof=1), rel=1e-12)
    assert jackknife_deviation(lambda at: 0.0, 1) is None
    assert sample_deviation(np.ones(1)) is None


def test_of_a_resolution_it_is_the_error_of_drawing_other_texts() -> None:
    """Against 2000 draws of 20 texts: R of the mean scores is no mean, and its error is found all the same."""
    rng = np.random.default_rng(1)

    def texts() -> np.ndarray:
        return -0.2 * np.arange(32) + rng.normal(0, 0.5, (20, 32))

    drawn = np.std([attention_resolution(texts().mean(axis=0)) for _ in range(2000)])
    found = [
        jackknife_deviation(lambda at, s=s: attention_resolution(s[at].mean(axis=0)), 20)
        for s in (texts() for _ in range(50))
    ]
    assert np.mean([sd for sd in found if sd is not None]) / math.sqrt(20) == pytest.approx(drawn, rel=0.1)
