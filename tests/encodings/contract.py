"""What must hold of every encoding: plain functions of an instance that raise the first counterexample in words.

    from tests.encodings import contract
    for name, holds in contract.PROPERTIES.items():
        holds(MyEncoding(base=1e4))

The positions, lengths and blocks they try are in `properties/samples.py` and `properties/calls.py`.
"""

from collections.abc import Callable

from ropelab.encodings import Encoding
from tests.encodings.properties import decoding, fields, kernels, positions, values

Property = Callable[[Encoding], None]


def named(*properties: Property) -> dict[str, Property]:
    """The properties by name, in the order given."""
    return {holds.__name__: holds for holds in properties}


PROPERTIES: dict[str, Property] = named(
    values.the_print_is_the_spec,
    values.equals_are_one_value,
    values.equal_instances_trace_once,
    values.the_dependence_on_the_length_is_declared,
    values.a_growing_length_compiles_nothing,
    values.known_and_traced_lengths_agree,
    values.encoding_bfloat16_rounds_once,
    fields.every_field_changes_the_scores,
    fields.another_base_is_not_served_from_a_stale_table,
    fields.the_same_arguments_give_the_same_scores,
    positions.shifting_all_positions_changes_nothing,
    positions.gaps_are_honoured,
    positions.explicit_positions_equal_implicit,
    positions.permuted_tokens_give_permuted_outputs,
    positions.packed_documents_are_separate_documents,
    positions.rotations_equal_a_float64_loop,
    decoding.decoding_equals_the_full_forward,
    kernels.blockwise_equals_dense,
    kernels.no_query_sees_the_future,
    kernels.the_receptive_field_is_the_counts,
    kernels.a_shard_of_the_heads_is_a_slice_of_the_whole,
)
