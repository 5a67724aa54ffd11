"""Every pattern on every kernel under encodings of each difficult kind, against the formula written out.

A learned bias that differs between heads, keys encoded for each query, scores that depend on the keys in between; and
in double precision, where two right programs differ by rounding alone and a forgotten term has nowhere to hide. The
whole table is `python -m experiments.cross`.
"""

import dataclasses
from collections.abc import Iterator

import jax
import pytest

from ropelab import attention
from ropelab.attention import Causal, Dilated, FixedSparse, LambdaMask, Pattern, ShiftedSparse, SlidingWindow
from ropelab.contract.crossing import ARRANGED, errors, reads_what_it_counts, sees_no_future
from ropelab.encodings import ALL, ALiBi, CoPE, DynamicNTK, Encoding, RoPE, T5Bias

BOUND = {"float32": 2e-5, "float64": 1e-10}
BY_QUERY = next(e for e in ALL if isinstance(e, DynamicNTK) and e.per_query_keys)
CONTEXTUAL = next(e for e in ALL if isinstance(e, CoPE))
DILATED = Dilated(segments=(4, 16), rates=(1, 4))


def agrees(encoding: Encoding, pattern: Pattern, dtype: str) -> None:
    found = errors(encoding, pattern, dtype)
    assert (ARRANGED in found) == isinstance(pattern, Dilated | FixedSparse | ShiftedSparse)
    assert {way: error for way, error in found.items() if not error < BOUND[dtype]} == {}


# Causal and SlidingWindow are tried under every encoding by the contract; LambdaMask counts as Sinks does.
ELSEWHERE = Causal | SlidingWindow | LambdaMask
OTHERS = {type(p): p for p in (*reversed(attention.ALL), DILATED) if not isinstance(p, ELSEWHERE)}


@pytest.mark.parametrize("pattern", OTHERS.values(), ids=repr)
def test_a_learned_bias_of_each_head(pattern: Pattern) -> None:
    """And with the same programs what each query reads, and that nothing comes from the future."""
    agrees(T5Bias(), pattern, "float32")
    reads_what_it_counts(T5Bias(), pattern)
    if pattern.causal:
        sees_no_future(T5Bias(), pattern)


def test_a_pattern_that_looks_ahead_is_seen() -> None:
    with pytest.raises(AssertionError, match="queries before 1 depend on tokens from 1 on"):
        sees_no_future(T5Bias(), attention.Bidirectional())


@pytest.mark.parametrize("encoding", [BY_QUERY, CONTEXTUAL], ids=repr)
def test_encodings_that_kernels_treat_in_their_own_way(encoding: Encoding) -> None:
    agrees(encoding, DILATED, "float32")


@pytest.fixture
def float64() -> Iterator[str]:
    jax.config.update("jax_enable_x64", True)
    yield "float64"
    jax.config.update("jax_enable_x64", False)


def test_in_double_precision(float64: str) -> None:
    agrees(ALiBi(), DILATED, float64)


def test_a_branch_that_is_dropped_is_seen() -> None:
    """In the calls on tokens in order alone: the counts still say what the pattern is."""

    class Shorter(Dilated):
        def attend(self, kernel, formula, operands, *, in_order):
            fewer = dataclasses.replace(DILATED, segments=self.segments[:-1], rates=self.rates[:-1])
            return fewer.attend(kernel, formula, operands, in_order=in_order)

    found = errors(RoPE(base=1e4), Shorter(segments=DILATED.segments, rates=DILATED.rates))
    assert max(found["dense"], found["blockwise"]) < BOUND["float32"]
    assert found[ARRANGED] > 0.01
