"""The contract of every encoding in the catalogue: one line in `listing.py` inherits all of it.

What compiles kernels is tried once for each code: encodings that differ in `frequencies` alone (PI from RoPE, say) run
the same functions on other numbers, and the first of them stands for all. Lengths per query take longest, and are one
code for four encodings; DynamicNTK stands for them. `python -m experiments.check --all` (docs/contract.md) leaves
nothing out, and decode_test.py has all four.
"""

import inspect
from collections.abc import Iterator

import pytest

from ropelab import encodings
from ropelab.contract import decoding, kernels, positions
from ropelab.contract.suite import PROPERTIES, Property
from ropelab.encodings import Encoding, Rotary

TRIED = [e for e in encodings.ALL if getattr(e, "per", None) != "query" or isinstance(e, encodings.DynamicNTK)]
NUMBERS = ("frequencies", "check", "inherit")  # what an encoding may have of its own and run the code of another
OF_KERNELS: tuple[Property, ...] = (
    positions.permuted_tokens_give_permuted_outputs,
    positions.packed_documents_are_separate_documents,
    decoding.decoding_equals_the_full_forward,
    kernels.blockwise_equals_dense,
    kernels.no_query_sees_the_future,
    kernels.the_receptive_field_is_the_counts,
    kernels.a_shard_of_the_heads_is_a_slice_of_the_whole,
)


def code(encoding: Encoding) -> object:
    """What two encodings share if they differ in their numbers alone: all other functions, and whether frames count."""
    cls = type(encoding)
    if not issubclass(cls, Rotary):
        return encoding
    members = inspect.getmembers(cls, lambda m: inspect.isroutine(m) or isinstance(m, property))
    return encoding.framed, frozenset((n, m) for n, m in members if not n.startswith("__") and n not in NUMBERS)


def cases() -> Iterator[tuple[Encoding, str]]:
    stand_ins = {code(e): e for e in reversed(TRIED)}
    for encoding in TRIED:
        for name, holds in PROPERTIES.items():
            if holds not in OF_KERNELS or stand_ins[code(encoding)] is encoding:
                yield encoding, name


@pytest.mark.parametrize(("encoding", "name"), list(cases()), ids=repr)
def test_contract(encoding, name):
    PROPERTIES[name](encoding)
