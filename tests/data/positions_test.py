"""Where tokens are said to stand: by hand where nothing is drawn, by frequency where something is."""

import itertools

import numpy as np
import pytest

from ropelab.data import positions
from ropelab.data.positions import Consecutive, PerDocument, PoSE, Randomised
from tests.errors import names

ONE_DOCUMENT = np.zeros((1, 8), np.int32)
DRAWS = 6000


def generator(row):
    return np.random.default_rng([3, row])


def drawn(sampler, tokens):
    """i32[DRAWS, tokens]."""
    return sampler.place(np.zeros((DRAWS, tokens), np.int32), generator)


def as_likely(counts, chance):
    """Whether each of these counts is within five standard deviations of what its chance makes expected."""
    return np.abs(counts - DRAWS * chance).max() < 5 * np.sqrt(DRAWS * chance * (1 - chance))


def test_consecutive_positions_know_no_documents():
    segments = np.array([[0, 0, 1, 1, -1]])
    assert Consecutive().place(segments, generator).tolist() == [[0, 1, 2, 3, 4]]


def test_positions_begin_anew_with_each_document():
    segments = np.array([[0, 0, 0, 1, 2, 2, -1, -1], [0, 1, 1, 1, 1, 1, 1, 1]])
    assert PerDocument().place(segments, generator).tolist() == [[0, 1, 2, 0, 0, 1, 0, 1], [0, 0, 1, 2, 3, 4, 5, 6]]


def test_randomised_positions_are_any_set_of_places_in_order():
    """Each of the 20 sets of 3 places out of 6 as often as any other."""
    found = drawn(Randomised(length=6), 3)
    counts = [np.sum((found == places).all(1)) for places in itertools.combinations(range(6), 3)]
    assert sum(counts) == DRAWS
    assert as_likely(np.array(counts), 1 / 20)


def test_pose_skips_once_within_the_first_half():
    """First chunk 1 to (T + 1) // 2 tokens, gap 0 to length - T; independent of each other."""
    for tokens, length in ((8, 12), (7, 9)):
        found = drawn(PoSE(length=length), tokens)
        gaps = found[:, -1] - (tokens - 1)
        steps = np.diff(found, axis=1)
        assert (found[:, 0] == 0).all()
        assert (np.sum(steps != 1, axis=1) == (gaps > 0)).all()
        assert as_likely(np.bincount(gaps), 1 / (length - tokens + 1))
        skipping = steps[gaps > 0]
        firsts = np.argmax(skipping > 1, axis=1) + 1
        counts = np.bincount(firsts, minlength=tokens)[1:]
        half = (tokens + 1) // 2
        assert counts[half:].sum() == 0
        expected = len(firsts) / half
        assert np.abs(counts[:half] - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize("sampler", [Randomised(length=9), PoSE(length=9)], ids=repr)
def test_a_window_as_long_as_the_text_stands_where_it_stands(sampler):
    assert sampler.place(np.zeros((2, 9), np.int32), generator).tolist() == [list(range(9))] * 2


@pytest.mark.parametrize("sampler", [Randomised(length=40), PoSE(length=40)], ids=repr)
def test_a_row_has_its_own_numbers(sampler):
    """What row 2 gets does not hang on the rows before it."""
    three = sampler.place(np.zeros((3, 8), np.int32), generator)
    alone = sampler.place(ONE_DOCUMENT, lambda row: generator(row + 2))
    assert (three[2] == alone[0]).all()
    assert three.dtype == np.int32
    assert len({tuple(row) for row in three}) == 3


@pytest.mark.parametrize("sampler", [Consecutive(), PerDocument(), Randomised(length=40), PoSE(length=40)], ids=repr)
def test_a_sampler_prints_as_its_spec(sampler):
    assert positions.parse(repr(sampler)) == sampler


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=names("PoSE", 41, 40)):
        PoSE(length=40).check(41)
    with pytest.raises(ValueError, match="window of 8"):
        Randomised(length=7).place(ONE_DOCUMENT, generator)
    with pytest.raises(ValueError, match="length=0"):
        PoSE(length=0)
    with pytest.raises(ValueError, match=names("'Pose'", "PoSE")):
        positions.parse("Pose(length=3)")
