"""Patterns are counts of positions: as the papers say, elementwise, never contradicted by what is said of a block."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropelab import attention
from ropelab.attention import (
    BlockwiseCausal,
    Causal,
    Dilated,
    FixedSparse,
    Grouped,
    LambdaMask,
    Pattern,
    ShiftedSparse,
    Sinks,
    SlidingWindow,
)
from tests.attention.by_hand import RULES
from tests.errors import names

N = 5
POSITIONS = st.lists(st.integers(0, 60), min_size=4, max_size=4)
SMALL = st.integers(1, 12)
BRANCHES = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5)), min_size=1, max_size=3)
PATTERNS = st.one_of(
    st.sampled_from((*attention.ALL, Pattern())),
    st.builds(SlidingWindow, window=SMALL),
    st.builds(Sinks, sinks=SMALL, window=SMALL),
    st.builds(LambdaMask, starting=SMALL, local=SMALL),
    st.builds(BlockwiseCausal, block=SMALL.map(lambda n: 2 * n)),
    st.builds(Grouped, group=SMALL, shift=st.integers(0, 20)),
    st.builds(ShiftedSparse, group=SMALL.map(lambda n: 2 * n)),
    st.builds(
        lambda branches, offset: Dilated(
            segments=tuple(m * r for m, r in branches), rates=tuple(r for _, r in branches), head_offset=offset
        ),
        BRANCHES,
        st.sampled_from(["mod", "contiguous"]),
    ),
    st.builds(
        lambda block, summary, heads, distinct: FixedSparse(
            block=block, summary=min(summary, block), heads=heads, distinct=distinct
        ),
        SMALL,
        SMALL,
        st.sampled_from(["split", "merged"]),
        st.booleans(),
    ),
)


def counts(pattern, q_pos, k_pos):
    """n as int[N, T, S]."""
    q_pos, k_pos = np.asarray(q_pos), np.asarray(k_pos)
    n = pattern.counts(jnp.asarray(q_pos)[:, None], jnp.asarray(k_pos), jnp.arange(N)[:, None, None], N)
    return np.broadcast_to(np.asarray(n), (N, q_pos.size, k_pos.size)).astype(int)


def reach(pattern, q_pos, k_pos):
    bounds = (jnp.asarray(f(pos)) for pos in (q_pos, k_pos) for f in (min, max))
    return tuple(bool(answer) for answer in pattern.reach(*bounds))


@settings(max_examples=60, deadline=None)
@given(PATTERNS.filter(lambda p: type(p) is not Pattern))
def test_counts_are_what_the_papers_say(pattern):
    """Against each paper's rule for one pair at a time."""
    fields = {f.name: getattr(pattern, f.name) for f in dataclasses.fields(pattern)}
    if isinstance(pattern, FixedSparse):
        fields["heads_of"] = fields.pop("heads")
    rule, T = RULES[type(pattern).__name__], 33
    expected = [[[rule(i, j, h, N, **fields) for j in range(T)] for i in range(T)] for h in range(N)]
    np.testing.assert_array_equal(counts(pattern, range(T), range(T)), expected)


@settings(max_examples=300, deadline=None)
@given(PATTERNS, POSITIONS, POSITIONS)
def test_reach_never_contradicts_counts(pattern, q_pos, k_pos):
    """Whatever the positions between the bounds: a kernel leaves out or waves through whole blocks on its word."""
    n = counts(pattern, q_pos, k_pos)
    any_visible, all_once = reach(pattern, q_pos, k_pos)
    assert any_visible or not n.any(), f"{pattern} hides a visible pair of {q_pos} and {k_pos}"
    assert not all_once or (n == 1).all(), f"{pattern} says all pairs of {q_pos} and {k_pos} are seen once"


EXACT = (Causal, SlidingWindow, Sinks, LambdaMask, BlockwiseCausal, Grouped, ShiftedSparse)


@settings(max_examples=200, deadline=None)
@given(PATTERNS.filter(lambda p: isinstance(p, EXACT)), st.integers(0, 60), st.integers(0, 60))
def test_reach_of_consecutive_positions_leaves_nothing_out(pattern, q_first, k_first):
    """No work is done for a block of an ordinary sequence that has no visible pair."""
    q_pos, k_pos = range(q_first, q_first + 5), range(k_first, k_first + 7)
    n = counts(pattern, list(q_pos), list(k_pos))
    any_visible, all_once = reach(pattern, q_pos, k_pos)
    assert any_visible == n.any()
    assert all_once == (n == 1).all() or isinstance(pattern, Sinks | LambdaMask)  # they may miss a block of both parts


@settings(max_examples=100, deadline=None)
@given(PATTERNS, POSITIONS, POSITIONS, st.permutations(range(4)))
def test_counts_are_elementwise(pattern, q_pos, k_pos, order):
    """Any block of the counts, in any order, is the same block of the whole."""
    whole = counts(pattern, q_pos, k_pos)
    moved = counts(pattern, np.asarray(q_pos)[list(order)], np.asarray(k_pos)[list(order)])
    np.testing.assert_array_equal(moved, whole[:, order][:, :, order])
    np.testing.assert_array_equal(counts(pattern, q_pos[1:3], k_pos[2:]), whole[:, 1:3, 2:])


@settings(max_examples=60, deadline=None)
@given(PATTERNS)
def test_no_causal_pattern_counts_a_later_token(pattern):
    n = counts(pattern, range(40), range(40))
    ahead = bool(np.triu(n, 1).any())
    assert ahead == (not pattern.causal) or type(pattern) is Pattern


def test_a_sliding_window_counts_the_query_itself():
    """Window 3 is three tokens, as in Mistral: the query and the two before it."""
    expected = [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1]]
    np.testing.assert_array_equal(counts(SlidingWindow(window=3), range(5), range(5))[0], expected)


@pytest.mark.parametrize(
    "pattern",
    [
        SlidingWindow(window=24),
        Sinks(sinks=1, window=24),
        BlockwiseCausal(block=24),
        Grouped(group=24),
        Dilated(segments=(24,), rates=(1,)),
        FixedSparse(block=24, summary=1, heads="merged"),
    ],
    ids=repr,
)
def test_a_text_no_longer_than_the_pattern_is_read_whole(pattern):
    np.testing.assert_array_equal(counts(pattern, range(24), range(24)), counts(Causal(), range(24), range(24)))


def test_a_key_of_two_branches_counts_twice():
    n = counts(Dilated(segments=(4, 8), rates=(1, 2)), range(8), range(8))
    assert n[0, 6].tolist() == [1, 0, 1, 0, 2, 1, 2, 0]  # head 0 keeps 0, 2, 4, 6 of the wider branch
    assert n[1, 6].tolist() == [0, 0, 0, 0, 1, 1, 1, 0]  # head 1 keeps 1, 3, 5, 7


@pytest.mark.parametrize(
    "text, said",
    [
        ("SlidingWindow(window=0)", "window=0"),
        ("SlidingWindow(window=1.5)", names("window=1.5")),
        ("SlidingWindow()", names("SlidingWindow", "window=")),
        ("slidingwindow(window=3)", "SlidingWindow"),
        ("Causal(window=3)", names("Causal", "'window'")),
        ("BlockwiseCausal(block=7)", "block=7"),
        ("ShiftedSparse(group=7)", "group=7"),
        ("Dilated(segments=(8, 16), rates=(1,))", names("segments", "rates")),
        ("Dilated(segments=(), rates=())", "segments"),
        ("Dilated(segments=(10,), rates=(4,))", names(10, 4)),
        ("Dilated(segments=(8,), rates=(0,))", "rates"),
        ("Dilated(segments=(8,), rates=(2,), head_offset='random')", "head_offset='random'"),
        ("FixedSparse(block=4, summary=5)", names("summary=5", "block=4")),
        ("Sinks(sinks=0, window=4)", "sinks=0"),
    ],
)
def test_wrong_patterns_are_refused(text, said):
    with pytest.raises(ValueError, match=said):
        attention.parse(text)
