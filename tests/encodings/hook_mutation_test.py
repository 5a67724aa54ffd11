"""As `mutation_test`, for what hooks beyond a rotation or a bias can get wrong."""

from fractions import Fraction
from unittest import mock

import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.contract.decoding import decoding_equals_the_full_forward
from ropelab.encodings import KERPLE, CoPE, DynamicNTK, LearnedAbsolute, RoPE, ScalableSoftmax, T5Bias, scores, t5
from tests.encodings import hook_mutants as mutants
from tests.encodings.mutants import decode_from_rotated_keys
from tests.encodings.planted import Fault, kernel, must_be_caught

PER_QUERY = DynamicNTK(base=1e4, factor=2.0, original_length=24, per="query", step=5)


def buckets_of_whole_numbers(encoding: T5Bias) -> None:
    """The bucket of every distance up to twice `max_distance`, by exact fractions, one distance at a time."""
    B, m, D = encoding.buckets, encoding.buckets // 2, encoding.max_distance
    distances = np.arange(2 * D)

    def bucket(n: int) -> int:
        above = [e for e in range(B - m) if n >= m and Fraction(D, m) ** e <= Fraction(n, m) ** (B - m)]
        return m + max(above) if above else n

    table = jnp.broadcast_to(jnp.arange(B, dtype=jnp.float32)[:, None], (B, 2))
    q, k = np.zeros((1, 1, 2, 4), np.float32), np.zeros((1, len(distances), 1, 4), np.float32)
    found = scores(encoding, q, k, distances[-1:], distances[::-1].copy(), params={"table": table})
    np.testing.assert_array_equal(found[0, 1, 0], [bucket(int(n)) for n in distances])


FAULTS = {
    "a query in another's group": Fault(
        PER_QUERY,
        [
            "the_dependence_on_the_length_is_declared",
            "shifting_all_positions_changes_nothing",
            "decoding_equals_the_full_forward",
        ],
        mutants.IgnoresItsFrame,
    ),
    "groups counted in the call": Fault(
        PER_QUERY,
        ["every_field_changes_the_scores", "shifting_all_positions_changes_nothing"],
        mutants.FramesOfTheCall,
    ),
    "gates summed in the order of storage": Fault(
        CoPE(max_position=9), ["permuted_tokens_give_permuted_outputs"], mutants.GatesInStorageOrder
    ),
    "gates of hidden keys": Fault(
        CoPE(max_position=9),
        [
            "no_query_sees_the_future",
            "the_receptive_field_is_the_counts",
            "packed_documents_are_separate_documents",
            "decoding_equals_the_full_forward",
        ],
        mutants.GatesOfHiddenKeys,
    ),
    "keys counted from the block": Fault(
        ScalableSoftmax(inner=RoPE(base=1e4)),
        [
            "gaps_are_honoured",
            "permuted_tokens_give_permuted_outputs",
            "packed_documents_are_separate_documents",
            "decoding_equals_the_full_forward",
        ],
        mutants.CountsFromTheBlock,
    ),
    "a boundary that is one token late": Fault(
        T5Bias(),
        [buckets_of_whole_numbers],
        patch=lambda: mock.patch.object(t5, "t5_boundaries", mutants.late_boundaries),
    ),
    "a table that does not learn": Fault(KERPLE(kind="log"), ["learned_tables_get_gradients"], mutants.StoppedTable),
    "a table that is never read": Fault(KERPLE(kind="log"), ["learned_tables_get_gradients"], mutants.UnreadTable),
    "a gradient of NaN at distance 0": Fault(
        KERPLE(kind="power"), ["learned_tables_get_gradients", "blockwise_equals_dense"], mutants.LogarithmAtZero
    ),
    "a vector of the input that does not learn": Fault(
        LearnedAbsolute(max_length=32), ["learned_tables_get_gradients"], mutants.StoppedInput
    ),
    "a kernel that drops the gradient of tables": Fault(
        KERPLE(kind="log"),
        ["learned_tables_get_gradients", "blockwise_equals_dense"],
        patch=kernel(mutants.without_table_gradient),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name: str):
    must_be_caught(FAULTS[name])


@pytest.mark.parametrize(
    "encoding", [T5Bias(), T5Bias(buckets=8, max_distance=64), T5Bias(buckets=12, max_distance=96)]
)
def test_buckets_begin_at_whole_numbers(encoding: T5Bias):
    buckets_of_whole_numbers(encoding)


def test_a_decay_centred_per_call_and_kept_with_the_keys_is_caught():
    """The centre cancels between a query and keys of one call; keys kept from an earlier call have another one."""
    centred = mutants.CentredPerCall(base=1e4, scale_base=16)
    decoding_equals_the_full_forward(centred)
    with pytest.raises(AssertionError, match="decoded with CentredPerCall"):
        decoding_equals_the_full_forward(centred, decode=decode_from_rotated_keys)
