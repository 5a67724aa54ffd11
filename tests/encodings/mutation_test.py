"""The suite catches the faults this field ships: each is planted once, and a named check must fail.

The same check passes before the fault is planted, so that it is the fault that fails it.
"""

from functools import partial
from unittest import mock

import numpy as np
import pytest

from ropelab.contract import calls
from ropelab.contract.decoding import decoding_equals_the_full_forward
from ropelab.contract.samples import T, assert_same, sample_params, sample_qkv
from ropelab.encodings import ALiBi, DynamicNTK, Encoding, RoPE, YaRN, scores, yarn
from tests.encodings import frozen, mutants
from tests.encodings.planted import Fault, kernel, must_be_caught
from tests.encodings.user_encoding import LeakyReRoPE, loop_scores


def frozen_attention(case: str, encoding: Encoding) -> None:
    """The named case of `attention.npz`, on the kernel under test."""
    (found,) = (c for c in frozen.cases("attention") if c["name"] == case)
    assert vars(frozen.of_attention(found)) == vars(encoding), f"{encoding} is not the encoding of {case}"
    frozen.equals_frozen_attention(found, encoding, calls.KERNELS["blockwise"])


def frozen_frequencies(kind: str, encoding: Encoding) -> None:
    """Every case of transformers that has this kind and the encoding's fields."""
    cases = enumerate(frozen.cases("frequencies"))
    named = [(row, case) for row, case in cases if (case["source"], case["kind"]) == ("transformers", kind)]
    rows = [row for row, case in named if vars(frozen.from_transformers(case)) == vars(encoding)]
    assert rows, f"there is no case of {encoding}"
    for row in rows:
        frozen.equals_frozen_frequencies(row, encoding)


def formula_of_the_user(encoding: LeakyReRoPE) -> None:
    """Both views of ReRoPE against its float64 loop."""
    q, k, _ = sample_qkv()
    pos, params = np.arange(T), sample_params(encoding)
    actual = scores(encoding, q, k, pos, pos, params=params)
    assert_same(actual, loop_scores(encoding, params, q, k, pos, pos), 1e-5, "scores")


ROPE = RoPE(base=1e4, pairing="half")
YARN = YaRN(base=1e4, factor=4.0, original_length=4096, pairing="half")
RELEASED = YaRN(base=1e4, factor=4.0, original_length=2048)
DYNAMIC = DynamicNTK(base=1e4, factor=2.0, original_length=24)

FAULTS = {
    "a base that is never read": Fault(
        ROPE,
        ["every_field_changes_the_scores", "another_base_is_not_served_from_a_stale_table"],
        mutants.NeverReadsBase,
    ),
    "a table cached without its base": Fault(
        ROPE,
        ["another_base_is_not_served_from_a_stale_table", "every_field_changes_the_scores"],
        mutants.TableWithoutBase,
    ),
    "YaRN scaled twice": Fault(YARN, [partial(frozen_attention, "yarn_by_index_half_plain")], mutants.ScaledTwice),
    "YaRN's ramp over half of the dimensions": Fault(
        RELEASED,
        [partial(frozen_frequencies, "yarn")],
        patch=lambda: mock.patch.object(yarn, "find_ramp_bounds", mutants.half_ramp),
    ),
    "a temperature left out": Fault(
        YARN,
        [partial(frozen_attention, "yarn_by_index_half_plain")],
        mutants.NoTemperature,
    ),
    "a temperature left out of the frequencies": Fault(
        RELEASED, [partial(frozen_frequencies, "yarn")], mutants.NoTemperature
    ),
    "positions counted inside": Fault(
        ROPE,
        [
            "gaps_are_honoured",
            "permuted_tokens_give_permuted_outputs",
            "packed_documents_are_separate_documents",
            "decoding_equals_the_full_forward",
            partial(frozen_attention, "rope_half_shuffled_keys"),
        ],
        mutants.CountsForItself,
    ),
    "slopes from the heads of a shard": Fault(
        ALiBi(), ["a_shard_of_the_heads_is_a_slice_of_the_whole"], mutants.LocalSlopes
    ),
    "positions in bfloat16": Fault(ROPE, ["shifting_all_positions_changes_nothing"], mutants.NarrowPositions),
    "a rotation in bfloat16": Fault(ROPE, ["encoding_bfloat16_rounds_once"], mutants.NarrowRotation),
    "a decay on the keys alone": Fault(
        mutants.Decaying(base=1e4), ["shifting_all_positions_changes_nothing"], mutants.DecayingOnOneSide
    ),
    "a length read while tracing": Fault(DYNAMIC, ["a_growing_length_compiles_nothing"], mutants.LengthWhileTracing),
    "a dependence on the length that is not declared": Fault(
        DYNAMIC, ["the_dependence_on_the_length_is_declared"], mutants.UndeclaredLength
    ),
    "a bias counted inside the block": Fault(ALiBi(), ["blockwise_equals_dense"], mutants.BiasInTheBlock),
    "an output that is shifted": Fault(
        ROPE, ["the_receptive_field_is_the_counts", "no_query_sees_the_future"], patch=kernel(mutants.shifted)
    ),
    "a glance at the future": Fault(ROPE, ["no_query_sees_the_future"], patch=kernel(mutants.bidirectional)),
    "a cotangent of lse that is dropped": Fault(
        ROPE, ["blockwise_equals_dense"], patch=kernel(mutants.without_lse_gradient)
    ),
    "pairs of queries and keys that differ": Fault(
        ROPE,
        [partial(frozen_attention, "rope_half_plain"), "shifting_all_positions_changes_nothing"],
        mutants.MismatchedPairs,
    ),
    "key heads tiled in place of repeated": Fault(
        ROPE, [partial(frozen_attention, "rope_half_plain"), "blockwise_equals_dense"], patch=kernel(mutants.tiled)
    ),
    "an offset lost at the seam of two chunks": Fault(
        ROPE, [partial(frozen_attention, "rope_half_plain")], mutants.ForgetsTheSeam
    ),
    "an offset lost at the seam of two views": Fault(
        LeakyReRoPE(base=1e4, window=8), [formula_of_the_user], mutants.LostSeamOffset
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name):
    must_be_caught(FAULTS[name])


def test_a_cache_of_rotated_keys_is_caught():
    """Exact while nothing is rescaled, and wrong as soon as the text outgrows the trained length."""
    rotated = mutants.decode_from_rotated_keys
    decoding_equals_the_full_forward(ROPE, decode=rotated)
    decoding_equals_the_full_forward(DYNAMIC)
    with pytest.raises(AssertionError, match="decoded with DynamicNTK"):
        decoding_equals_the_full_forward(DYNAMIC, decode=rotated)
