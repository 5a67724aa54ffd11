"""Patterns are counts of positions: elementwise, and never contradicted by what they say of a whole block."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropelab import attention
from ropelab.attention import Causal, Pattern, SlidingWindow

HEADS = jnp.arange(4)
POSITIONS = st.lists(st.integers(0, 60), min_size=4, max_size=4)
WINDOWS = st.integers(1, 40).map(lambda n: SlidingWindow(window=n))
PATTERNS = st.one_of(st.sampled_from((*attention.ALL, Pattern())), WINDOWS)


def counts(pattern, q_pos, k_pos):
    """n as int[N or 1, T, S], for one row of positions."""
    return np.asarray(pattern.counts(jnp.asarray(q_pos)[None], jnp.asarray(k_pos)[None], HEADS)[0]).astype(int)


def reach(pattern, q_pos, k_pos):
    bounds = (jnp.asarray(f(pos)) for pos in (q_pos, k_pos) for f in (min, max))
    return tuple(bool(answer) for answer in pattern.reach(*bounds))


@settings(max_examples=300, deadline=None)
@given(PATTERNS, POSITIONS, POSITIONS)
def test_reach_never_contradicts_counts(pattern, q_pos, k_pos):
    """Whatever the positions between the bounds: a kernel leaves out or waves through whole blocks on its word."""
    n = counts(pattern, q_pos, k_pos)
    any_visible, all_once = reach(pattern, q_pos, k_pos)
    assert any_visible or not n.any(), f"{pattern} hides a visible pair of {q_pos} and {k_pos}"
    assert not all_once or (n == 1).all(), f"{pattern} says all pairs of {q_pos} and {k_pos} are seen once"


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.just(Causal()), WINDOWS), st.integers(0, 60), st.integers(0, 60))
def test_reach_of_consecutive_positions_is_exact(pattern, q_first, k_first):
    """No work is done for a block of an ordinary sequence that has no visible pair, nor twice for a whole one."""
    q_pos, k_pos = range(q_first, q_first + 5), range(k_first, k_first + 7)
    n = counts(pattern, list(q_pos), list(k_pos))
    assert reach(pattern, q_pos, k_pos) == (n.any(), (n == 1).all())


@settings(max_examples=50, deadline=None)
@given(PATTERNS, POSITIONS, POSITIONS, st.permutations(range(4)))
def test_counts_are_elementwise(pattern, q_pos, k_pos, order):
    """Any block of the counts, in any order, is the same block of the whole."""
    whole = counts(pattern, q_pos, k_pos)
    moved = counts(pattern, np.asarray(q_pos)[list(order)], np.asarray(k_pos)[list(order)])
    np.testing.assert_array_equal(moved, whole[:, order][:, :, order])
    np.testing.assert_array_equal(counts(pattern, q_pos[1:3], k_pos[2:]), whole[:, 1:3, 2:])


def test_causal_sees_the_past_and_itself():
    np.testing.assert_array_equal(counts(Causal(), range(5), range(5))[0], np.tril(np.ones((5, 5))))
    np.testing.assert_array_equal(counts(Causal(), [7], [3, 7, 8])[0], [[1, 1, 0]])


def test_a_sliding_window_counts_the_query_itself():
    """Window 3 is three tokens, as in Mistral: the query and the two before it."""
    expected = [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1]]
    np.testing.assert_array_equal(counts(SlidingWindow(window=3), range(5), range(5))[0], expected)
    np.testing.assert_array_equal(counts(SlidingWindow(window=1), range(5), range(5))[0], np.eye(5))
    np.testing.assert_array_equal(
        counts(SlidingWindow(window=5), range(5), range(5)), counts(Causal(), range(5), range(5))
    )


@pytest.mark.parametrize("pattern", attention.ALL, ids=repr)
def test_every_token_sees_itself_and_no_later_one(pattern):
    n = counts(pattern, range(40), range(40))
    assert (np.diagonal(n, axis1=1, axis2=2) > 0).all()
    assert not np.triu(n, 1).any()


@pytest.mark.parametrize(
    "text, said",
    [
        ("SlidingWindow(window=0)", "window=0 must be at least 1"),
        ("SlidingWindow(window=1.5)", "window=1.5 is not allowed"),
        ("SlidingWindow()", "SlidingWindow needs window="),
        ("slidingwindow(window=3)", "Did you mean SlidingWindow?"),
        ("Causal(window=3)", "Causal has no field 'window'"),
    ],
)
def test_wrong_patterns_are_refused(text, said):
    with pytest.raises(ValueError) as error:
        attention.parse(text)
    assert said in str(error.value)
