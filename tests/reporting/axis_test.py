"""Axes hold their values, and have few round ticks within them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropelab.reporting.axis import axis, label, labels

VALUES = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=8)


@given(VALUES, st.booleans(), st.booleans(), st.integers(4, 9))
def test_an_axis_holds_its_values_and_no_more_ticks_than_asked(values, log, tight, most):
    found = axis(values, log=log, tight=tight, most=most)
    assert found.low < found.high
    assert all(found.holds(v) and 0 <= found.at(v) <= 1 for v in values)
    assert 1 <= len(found.ticks) <= most
    assert list(found.ticks) == sorted(set(found.ticks))
    assert all(-1e-9 <= found.at(tick) <= 1 for tick in found.ticks)
    assert len({*labels(found.ticks)}) == len(found.ticks)


@pytest.mark.parametrize(
    ("values", "options", "ticks"),
    [
        ((0, 10), {}, [0, 2, 4, 6, 8, 10]),
        ((3.2, 4.9), {}, [3, 3.5, 4, 4.5, 5]),
        ((-1, 1), {}, [-1, -0.5, 0, 0.5, 1]),
        ((256, 512, 4096), {"log": True}, [256, 512, 1024, 2048, 4096]),
        ((96, 192, 384), {"log": True}, [96, 192, 384]),
        ((1, 2**20), {"log": True}, [1, 16, 256, 4096, 65536, 1048576]),
        ((1, 90), {"log": True}, [1, 2, 5, 10, 20, 50]),
        ((9, 3000), {"log": True}, [10, 30, 100, 300, 1000, 3000]),
        ((1e-3, 1e8), {"log": True}, [1e-3, 1e-1, 1e1, 1e3, 1e5, 1e7]),
        ((10, 15.2), {"log": True}, [10, 12, 14]),
        ((14, 16366), {"tight": True, "binary": True, "most": 9}, list(range(0, 16385, 2048))),
        ((14, 12000), {"tight": True}, [0, 2500, 5000, 7500, 10000]),
    ],
)
def test_ticks_are_round(values, options, ticks):
    assert list(axis(values, **options).ticks) == ticks


def test_what_is_not_finite_or_has_no_logarithm_has_no_part():
    assert axis([1, 2, math.inf, math.nan]) == axis([1, 2])
    assert axis([1, 10, 0, -3], log=True) == axis([1, 10], log=True)
    assert axis([math.nan]).low < axis([]).high


def test_values_beyond_an_axis_stand_at_its_ends():
    found = axis([1, 100], log=True)
    assert (found.at(-1), found.at(1e-9), found.at(math.inf)) == (0, 0, 1)
    assert found.at(10) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (8192, "8192"),
        (1048576, "1048576"),
        (0.25, "0.25"),
        (-2.5, "−2.5"),
        (1e-6, "10⁻⁶"),
        (2.5e9, "2.5·10⁹"),
    ],
)
def test_labels(value, text):
    assert label(value) == text


def test_long_round_ticks_are_all_in_one_unit():
    assert labels([0, 5e5, 1e6, 2.5e6]) == ["0", "0.5M", "1M", "2.5M"]
    assert labels([-1e5, 0, 5e4, 1e5]) == ["−100k", "0", "50k", "100k"]
    assert labels([65536, 131072]) == ["65536", "131072"]
    assert labels([10, 1e3, 1e5]) == ["10", "1000", "100000"]
    assert labels([]) == []
