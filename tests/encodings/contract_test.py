"""The contract of every encoding in the catalogue: one line in `registry.py` inherits all of it.

What compiles kernels is tried once for each code: encodings that differ in `frequencies` alone (PI from RoPE, say) run
the same functions on other numbers, and the first of them stands for all. Lengths per query take longest, and are one
code for four encodings; DynamicNTK stands for them. `python -m experiments.check --all` (docs/contract.md) leaves
nothing out, and decode_test.py has all four.
"""

from collections.abc import Iterator

import pytest

from ropelab import encodings
from ropelab.contract import decoding, kernels, positions
from ropelab.contract.suite import PROPERTIES, Property
from ropelab.encodings import Encoding
from tests.encodings.codes import code, stand_ins

TRIED = [e for e in encodings.ALL if getattr(e, "per", None) != "query" or isinstance(e, encodings.DynamicNTK)]
OF_KERNELS: tuple[Property, ...] = (
    positions.permuted_tokens_give_permuted_outputs,
    positions.packed_documents_are_separate_documents,
    decoding.decoding_equals_the_full_forward,
    kernels.blockwise_equals_dense,
    kernels.no_query_sees_the_future,
    kernels.the_receptive_field_is_the_counts,
    kernels.a_shard_of_the_heads_is_a_slice_of_the_whole,
)


def cases() -> Iterator[tuple[Encoding, str]]:
    first = stand_ins(TRIED)
    for encoding in TRIED:
        for name, holds in PROPERTIES.items():
            if holds not in OF_KERNELS or first[code(encoding)] is encoding:
                yield encoding, name


@pytest.mark.parametrize(("encoding", "name"), list(cases()), ids=repr)
def test_contract(encoding, name):
    PROPERTIES[name](encoding)
