"""Which tokens are scored, under which name, and how scores add up."""

import math

import numpy as np
import pytest

from ropelab.evaluation.perplexity import (
    Band,
    Score,
    document_nll,
    make_bands,
    score_band,
    split_documents,
    split_into_windows,
)
from tests.errors import names
from tests.evaluation.small import Counted
from tests.models import tiny


def test_scores_add_as_sums_and_counts() -> None:
    """The mean of two shards is the mean of the whole, however unequal they are."""
    losses = np.random.default_rng(0).gamma(2.0, size=100)
    parts = [Score(float(part.sum()), part.size) for part in np.split(losses, [3, 70])]
    total = sum(parts, start=Score(0.0, 0))
    assert total.tokens == 100
    assert total.mean == pytest.approx(losses.mean())
    assert total.perplexity == pytest.approx(math.exp(losses.mean()))


def test_documents_are_the_beginning_of_the_stream_without_overlap() -> None:
    stream = np.arange(25)
    np.testing.assert_array_equal(split_documents(stream, 10, 2), [range(10), range(10, 20)])
    np.testing.assert_array_equal(split_documents(stream, 25, 1), [range(25)])


def test_a_text_too_short_says_how_much_is_missing() -> None:
    with pytest.raises(ValueError, match=names("25 tokens", 30)):
        split_documents(np.arange(25), 10, 3)


def test_the_bands_of_a_length_cover_it_once() -> None:
    found = make_bands((16, 32, 64, 128), 80, 8)
    assert found == [
        Band("all", 0, 80),
        Band("[0, 16)", 0, 16),
        Band("[16, 32)", 16, 32),
        Band("[32, 64)", 32, 64),
        Band("[64, 80)", 64, 80),
        Band("last 8", 72, 80),
    ]


@pytest.mark.parametrize(
    ("edges", "length", "last", "names"),
    [
        ((), 80, 100, ["all"]),
        ((80, 100), 80, 80, ["all"]),
        ((64, 16, 16, 0, -5), 80, 80, ["all", "[0, 16)", "[16, 64)", "[64, 80)"]),
        ((1,), 80, 79, ["all", "last 79"]),
    ],
    ids=["none", "beyond the length", "unsorted, twice, not positive", "before the first scored token"],
)
def test_edges_that_make_no_band_are_left_out(edges: tuple[int, ...], length: int, last: int, names: list[str]) -> None:
    """An empty band has no mean, and would be found out only after everything was measured."""
    found = make_bands(edges, length, last)
    assert [band.name for band in found] == names
    assert all(score_band(np.ones(length - 1), band).tokens > 0 for band in found)


def test_every_token_but_the_first_is_in_one_band() -> None:
    """Entry t of the losses is that of position t + 1: [0, 16) has 15 of them."""
    losses = np.arange(1, 80, dtype=np.float32)
    whole, *parts, tail = make_bands((16, 32, 64), 80, 8)
    assert [score_band(losses, band).tokens for band in parts] == [15, 16, 32, 16]
    assert sum((score_band(losses, band) for band in parts), start=Score(0.0, 0)) == score_band(losses, whole)
    assert score_band(losses, tail) == Score(float(sum(range(72, 80))), 8)


@pytest.mark.parametrize("window", [2, 7, 32, 79, 80, 200])
def test_chopped_pieces_score_the_same_tokens_once(window: int) -> None:
    """Each piece begins with the last token of the one before, which is its context and is not scored again."""
    document = np.arange(80)
    pieces = list(split_into_windows(document, window))
    assert all(2 <= piece.size <= window for piece in pieces)
    np.testing.assert_array_equal(np.concatenate([piece[1:] for piece in pieces]), document[1:])


def test_a_chopped_document_is_scored_piece_by_piece() -> None:
    model, told = tiny.lab().model, list[int]()
    document = tiny.LONG[0, :63]
    losses = document_nll(model, document, window=32, advance=told.append)
    expected = [model.nll(document[None, start : start + 32])[0] for start in (0, 31)]
    np.testing.assert_allclose(losses, np.concatenate(expected), atol=2e-5)
    assert sum(told) == losses.size == 62


def test_a_document_in_one_piece_is_read_once() -> None:
    """And progress is told as it is made, not at the end."""
    model, told = Counted(), list[int]()
    losses = document_nll(model, tiny.LONG[0], window=None, advance=told.append)  # type: ignore[arg-type]
    assert (model.read, told, losses.shape, losses.dtype) == ([80], [10, 69], (79,), np.float32)
