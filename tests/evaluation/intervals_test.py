"""Deviations: of a mean the one in the books, of anything else the jackknife's, and the same in parts as at once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropelab.evaluation import attention_resolution
from ropelab.evaluation.evals.base import merged
from ropelab.evaluation.intervals import jackknife_deviation, pool, sample_deviation

numbers = st.lists(st.floats(-100, 100), min_size=1, max_size=8)


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


@given(numbers, numbers)
def test_two_lots_are_as_one(first: list[float], second: list[float]) -> None:
    parts = [(float(np.mean(x)), len(x), sample_deviation(np.asarray(x))) for x in (first, second)]
    mean, count, sd = pool(*parts)
    both = np.asarray(first + second)
    assert (mean, count) == (pytest.approx(both.mean(), abs=1e-9), both.size)
    assert sd == pytest.approx(both.std(ddof=1), abs=1e-6)


def test_records_add_up_by_counts_and_over_depths() -> None:
    def record(**given: object) -> dict:
        same = {"arm": "a", "eval": "e", "length": 8, "depth": None, "protocol": "p", "seed": 0}
        return same | {"value": 1.0, "count": 1, "deviation": None} | given

    parts = [record(value=1.0), record(value=4.0, count=3, deviation=1.0), record(value=None, count=0)]
    (whole,) = merged(parts)
    assert (whole["value"], whole["count"]) == (3.25, 4)
    assert whole["deviation"] == pytest.approx(np.std([1.0, 3.0, 4.0, 5.0], ddof=1))
    (backwards,) = merged(parts[::-1])
    assert backwards["value"] == 3.25
    assert backwards["deviation"] == pytest.approx(whole["deviation"])
    (unknown,) = merged([record(count=2), record(count=2)])
    assert unknown["deviation"] is None, "of two lots whose deviations are not known"
    at_depths = [record(depth=0.0, value=0.0, count=2), record(depth=1.0, value=1.0, count=2)]
    assert [one["value"] for one in merged(at_depths)] == [0.0, 1.0]
    (total,) = merged(at_depths, over_depths=True)
    assert (total["value"], total["count"], total["depth"]) == (0.5, 4, None)
