"""A wrapper passes on every hook of what it wraps, around a schedule over layers too."""

import jax
import numpy as np
import pytest

from ropelab.contract import composition
from ropelab.encodings import ALiBi, Encoding, Layers, LogN, NoPE, RoPE, ScalableSoftmax, T5Bias, parse, scores
from ropelab.encodings.base import Encoding as Base
from ropelab.encodings.query_scaling import QueryScaled
from ropelab.spec import spec

ROPE = RoPE(base=1e4)


def test_every_hook_of_an_encoding_is_passed_on():
    hooks = {name for name in vars(Base) if not name.startswith("_") and name != "renamed"}
    assert not hooks - vars(QueryScaled).keys()


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_around_a_schedule_it_is_around_each_layer(layer: int):
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, 1, 9, 2, 8)).astype(np.float32)
    pos = np.arange(9)
    outside = LogN(inner=Layers((ROPE, NoPE())), original_length=4)
    inside = (LogN(inner=ROPE, original_length=4), LogN(inner=NoPE(), original_length=4))[layer % 2]
    np.testing.assert_array_equal(scores(outside, q, k, pos, pos, layer=layer), scores(inside, q, k, pos, pos))


def test_its_kinds_print_and_parse():
    wrapped = LogN(inner=Layers((ROPE, ROPE, NoPE())), original_length=4)
    assert [parse(repr(kind)) for kind in wrapped.unique_encodings()] == [
        LogN(inner=kind, original_length=4) for kind in (ROPE, NoPE())
    ]
    assert [wrapped.encoding_index(layer) for layer in range(4)] == [0, 0, 1, 0]


def test_learned_tables_are_those_of_each_kind():
    wrapped = ScalableSoftmax(inner=Layers((T5Bias(), NoPE())))
    tables = wrapped.init(jax.random.key(0), num_heads=2, head_dim=8)
    assert {number: set(kind) for number, kind in tables.items()} == {
        "0": {"table", "softmax_scale"},
        "1": {"softmax_scale"},
    }


def test_a_table_that_two_wrappers_would_share_is_refused():
    with pytest.raises(ValueError, match="ScalableSoftmax"):
        ScalableSoftmax(inner=LogN(inner=ScalableSoftmax(inner=ROPE), original_length=4))


def test_slopes_are_those_of_what_is_wrapped():
    np.testing.assert_array_equal(LogN(inner=ALiBi(), original_length=4).linear_slopes(8), ALiBi().linear_slopes(8))


def test_a_wrapped_encoding_may_be_one_layer_of_a_schedule():
    assert Layers((ROPE, LogN(inner=NoPE(), original_length=4))).unique_encodings()[1] == LogN(
        inner=NoPE(), original_length=4
    )
    with pytest.raises(ValueError, match="schedule"):
        Layers((ROPE, LogN(inner=Layers((ROPE, NoPE())), original_length=4)))


@spec
class ForgetsTheSchedule(LogN):
    def unique_encodings(self) -> tuple[Encoding, ...]:
        return (self,)


def test_a_wrapper_that_forgets_the_schedule_is_caught():
    with pytest.raises(AssertionError, match="layer 1"):
        composition.assert_multiplied(ForgetsTheSchedule(inner=Layers((NoPE(), ROPE)), original_length=4), 1)
