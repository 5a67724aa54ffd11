"""One pass answers every length that it can answer, and gives what separate measurements give."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ropelab.evaluation.by_position import measure
from ropelab.evaluation.store import Store
from ropelab.evaluation.variants import Variant, group_lengths, make_baselines
from ropelab.models.module import Model
from tests.evaluation.small import DOCUMENTS, LENGTHS, SETTINGS
from tests.models import tiny

DYNAMIC = "DynamicNTK(factor=2.0, original_length=32)"


def arm(encoding: str, pattern: str | None = None, window: int | None = None) -> Variant:
    return Variant(encoding, tiny.lab().swap(encoding, pattern).model, window)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (arm("PI(factor=2.0)"), {80: LENGTHS}),
        (arm("ALiBi", "SlidingWindow(window=4)"), {80: LENGTHS}),
        (arm(DYNAMIC), {24: (16, 24), 80: (80,)}),
        (arm(DYNAMIC, window=32), {80: LENGTHS}),
    ],
    ids=["static", "not rotary", "dynamic", "dynamic, chopped"],
)
def test_lengths_with_the_same_frequencies_share_a_pass(one: Variant, expected: dict[int, tuple[int, ...]]) -> None:
    assert group_lengths(one, LENGTHS) == expected
    assert group_lengths(one, LENGTHS[::-1]) == expected


@pytest.mark.parametrize("one", [arm("PI(factor=2.0)"), arm(DYNAMIC)], ids=["static", "dynamic"])
def test_a_shared_pass_gives_what_separate_ones_give(one: Variant, tmp_path: Path) -> None:
    """The beginning of a longer text is scored as the short text alone."""
    store = Store(tmp_path / "measurements.jsonl")
    shortest = measure([one], DOCUMENTS[:1], SETTINGS._replace(windows=1), store)[0]
    np.testing.assert_allclose(shortest.nll, one.model.nll(DOCUMENTS[:1, : shortest.length]), atol=5e-5)
    assert len(store) == len(group_lengths(one, LENGTHS)) < len(LENGTHS)


def test_the_baselines_are_the_model_and_the_model_on_chopped_text() -> None:
    model = tiny.lab().model
    first, second = make_baselines(model, 33)
    assert (first.name, first.window, first.model) == ("unchanged", None, model)
    assert (second.name, second.window, second.model) == ("unchanged, chopped at 32", 32, model)


def test_a_trained_length_that_nobody_knows_is_nothing_to_chop_at() -> None:
    model = tiny.lab().model
    unknown = model.wiring._replace(config=dataclasses.replace(model.config, trained_length=0))
    assert [arm.name for arm in make_baselines(Model(unknown, model.parameters), 33)] == ["unchanged"]
    assert [arm.name for arm in make_baselines(model, 32)] == ["unchanged"], "no text is longer: both would be the same"
