"""Four definitions of an effective context, the awkward records among them; intervals; PI's figure 2."""

import math

import numpy as np
import pytest

from ropelab.evaluation import intervals
from ropelab.evaluation.effective_context import (
    k_max,
    longest_passing,
    nolima_length,
    question_distances,
    ruler_length,
    yarn_length,
)
from ropelab.evaluation.interpolation import fit
from tests.errors import names


def test_a_hole_ends_k_max_and_nothing_else() -> None:
    record = {64: 1.0, 128: 1.0, 192: 0.1, 256: 1.0, 320: 0.9, 384: 0.0}
    assert k_max(record) == 128
    assert yarn_length(record) == 320
    assert ruler_length(record) == 320
    assert nolima_length(record) == 320


def test_thresholds_count_when_they_are_met_exactly() -> None:
    assert k_max({10: 0.2, 20: 0.199}) == 10
    assert yarn_length({10: 0.8, 20: 0.79}) == 10
    assert ruler_length({4096: 0.856, 8192: 0.8559}) == 4096
    assert nolima_length({250: 0.8, 1000: 1.0, 2000: 0.85, 4000: 0.8499}) == 2000


def test_a_record_of_failures_reaches_nothing() -> None:
    failed = {10: 0.0, 20: 0.1}
    assert k_max(failed) == yarn_length(failed) == ruler_length(failed) == 0
    assert k_max({20: 1.0, 10: 0.0}) == 0, "the order of a record does not matter"
    assert nolima_length(failed) == 20, "0.85 of a base score of 0.1"


def test_distances_are_evenly_spaced_up_to_the_length() -> None:
    assert question_distances(4096) == tuple(range(128, 4097, 128))
    assert question_distances(10, 4) == (2, 5, 8, 10)
    with pytest.raises(ValueError, match=names(32, 31)):
        question_distances(31)


@pytest.mark.parametrize(
    ("scores", "message"),
    [({}, "scores"), ({10: 1.2}, r"1\.2"), ({10: math.nan}, "nan")],
)
def test_what_is_no_record_is_refused(scores: dict[int, float], message: str) -> None:
    for definition in (k_max, yarn_length, ruler_length, nolima_length):
        with pytest.raises(ValueError, match=message):
            definition(scores)
    with pytest.raises(ValueError, match="2000"):
        nolima_length({2000: 1.0})
    assert longest_passing({1: 0.5}, 0.6) == 0


def test_wilsons_interval_is_the_one_in_the_books() -> None:
    """Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    books = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (successes, trials), wanted in books.items():
        assert intervals.wilson_interval(successes, trials) == pytest.approx(wanted, abs=5e-5)
    for wrong in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match=names(*wrong)):
            intervals.wilson_interval(*wrong)


def test_three_seeds_have_students_interval() -> None:
    assert intervals.mean_and_half_width([1.0, 2.0, 3.0]) == pytest.approx((2.0, 4.3027 / math.sqrt(3)), rel=1e-4)
    assert intervals.mean_and_half_width([5.0]) == (5.0, 0.0)
    assert intervals.half_width(2.0, 100) == pytest.approx(0.2 * 1.96, rel=1e-3)
    with pytest.raises(ValueError, match="measure two"):
        intervals.half_width(1.0, 1)


@pytest.mark.parametrize("seed", range(4))
def test_extrapolation_explodes_and_interpolation_does_not(seed: int) -> None:
    """PI's figure 2, and its theorem; see the module on why the figure itself is one of rounding.

    Rounding decides also how the fit without a ridge passes the first and the last target, whose leverage is four to
    nine times that of the others and depends on the nearly singular directions: 0.6 to 1.2 at these two distances, by
    the version of numpy and the processor. So that fit is judged 32 distances from the ends and beyond, where all
    versions agree within a third, and the fit with a ridge, the same to 12 digits everywhere, at all distances.
    """
    bare, ridged = fit(seed), fit(seed, ridge=1.0)
    assert np.abs(bare.inside[32:-32]).max() < 1.0
    assert np.abs(ridged.inside).max() < 1.0
    assert bare.explosion > 100
    assert bare.off_line < min(0.02, bare.bound)
    assert ridged.explosion < 10
    assert ridged.off_line <= ridged.bound


def test_the_bound_is_the_theorems() -> None:
    """d max|h| / 294.73 for an interval of one and c = 10000."""
    found = fit(0, head_dim=16, length=64, ridge=1.0)
    assert found.bound == pytest.approx(16 * np.abs(found.h).max() / 294.73, rel=1e-4)
    s = np.arange(0, 63, 0.125)
    theta = 1e4 ** (-np.arange(8) / 8)
    np.testing.assert_allclose(found.between[: s.size], (np.exp(1j * np.outer(s, theta)) @ found.h).real, atol=1e-9)
    with pytest.raises(ValueError, match="head_dim=15"):
        fit(0, head_dim=15)
