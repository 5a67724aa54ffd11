"""Records pool in one way, keep their columns, and are read back from what 0.1 wrote."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropelab.evaluation.intervals import sample_deviation
from ropelab.evaluation.record import COLUMNS, IDENTITY, Protocol, Record, aggregate, pool, upgrade_0_1

numbers = st.lists(st.floats(-100, 100), min_size=1, max_size=8)


def record(**columns: Any) -> Record:
    return Record(**{"evaluation": "e", "metric": "m", "length": 8, "value": 1.0, "count": 1} | columns)


@given(numbers, numbers)
def test_two_parts_pool_to_the_whole(first: list[float], second: list[float]) -> None:
    parts = [(float(np.mean(x)), len(x), sample_deviation(np.asarray(x))) for x in (first, second)]
    mean, count, sd = pool(*parts)
    both = np.asarray(first + second)
    assert (mean, count) == (pytest.approx(both.mean(), abs=1e-9), both.size)
    assert sd == pytest.approx(both.std(ddof=1), abs=1e-6)


def test_undefined_parts_add_nothing() -> None:
    parts = [record(), record(value=4.0, count=3, deviation=1.0), record(value=None, count=0)]
    for order in (parts, parts[::-1]):
        (whole,) = aggregate(order)
        assert (whole.value, whole.count) == (3.25, 4)
        assert whole.deviation == pytest.approx(np.std([1.0, 3.0, 4.0, 5.0], ddof=1))
    (unknown,) = aggregate([record(count=2), record(count=2)])
    assert unknown.deviation is None, "the deviations of the parts are unknown"
    assert math.isnan(record(value=None).mean)


def test_parts_pool_over_the_columns_that_are_not_named() -> None:
    at_depths = [record(depth=d, value=d, count=2, sources=(f"f:{d}",)) for d in (0.0, 1.0)]
    assert [one.value for one in aggregate(at_depths)] == [0.0, 1.0]
    (total,) = aggregate(at_depths, by=[name for name in IDENTITY if name != "depth"])
    assert (total.value, total.count, total.depth) == (0.5, 4, None)
    assert total.sources == ("f:0.0", "f:1.0")
    runs = [record(variant="rope", model=f"runs/rope-{s}", seed=s, value=float(s)) for s in range(3)]
    (pooled,) = aggregate(runs, by=("variant", "length"))
    assert (pooled.variant, pooled.model, pooled.value, pooled.count) == ("rope", "", 1.0, 3)


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in ("value", "count", "deviation")])
def test_every_column_keeps_records_apart(column: str) -> None:
    other: dict[str, Any] = {"protocol": Protocol(model="other"), "depth": 0.5}
    changed = other.get(column, "other" if isinstance(getattr(record(), column), str) else 3)
    assert len(aggregate([record(), record(**{column: changed})])) == 2


def test_a_row_has_the_columns_and_the_key_of_the_protocol() -> None:
    protocol = Protocol(model="tiny", weights="ab", method="one window", versions="numpy 2")
    row = record(protocol=protocol, layer=3).row()
    assert list(row) == list(COLUMNS)
    assert row["protocol"] == protocol.key() != Protocol(model="tiny").key()
    assert protocol.line() == "model tiny (weights ab); one window; numpy 2"


@pytest.mark.parametrize(
    ("arm", "name", "columns"),
    [
        ("pi2-0@25", "kmax", {"variant": "pi2", "seed": 0, "step": 25, "evaluation": "kmax", "metric": "score"}),
        ("unchanged, chopped at 32", "perplexity.nll", {"window": 32, "metric": "nll"}),
        ("a", "resolution.layer_03.head_11", {"metric": "resolution", "layer": 3, "head": 11}),
        ("a", "heads.stability.layer_00.head_01", {"metric": "stability", "layer": 0, "head": 1}),
        ("a", "perplexity.nll_last_4", {"metric": "nll_tail", "first": 60, "last": 64}),
        ("a", "resolution", {"metric": "resolution", "layer": None}),
        ("a", "passkey", {"metric": "score"}),
        ("rope", "resolution.per_head", {"metric": "per_head", "seed": 2, "variant": "rope"}),
    ],
)
def test_names_of_0_1_become_columns(arm: str, name: str, columns: dict[str, Any]) -> None:
    row = {"arm": arm, "eval": name, "length": 64, "depth": None, "seed": 2, "value": 1.0, "count": 1}
    found = Record(**upgrade_0_1(row | {"deviation": None, "protocol": Protocol(method="as it was")}))
    assert {name: getattr(found, name) for name in columns} == columns
