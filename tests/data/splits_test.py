"""What is trained on and what is measured on share no document, whatever the splits are called."""

import pytest

from ropelab.data.documents import check_disjoint, open_documents
from ropelab.data.packing import choose_lanes
from tests.errors import names


@pytest.mark.parametrize(
    ("split", "test_split"),
    [("train", "test"), ("train[10%:]", "train[:10%]"), ("train[:2]", "train[2:4]"), ("train[:-2]", "train[-2:]")],
)
def test_splits_that_share_nothing_are_taken(settings, split, test_split):
    check_disjoint(settings(split=split, test_split=test_split))


@pytest.mark.parametrize(
    ("split", "test_split"),
    [("test", "test"), ("train", "train[:10%]"), ("train[:3]", "train[2:4]"), ("test+train[:2]", "test")],
)
def test_splits_that_share_documents_are_refused(settings, split, test_split):
    with pytest.raises(ValueError, match=names(repr(split), repr(test_split))):
        check_disjoint(settings(split=split, test_split=test_split))


@pytest.mark.parametrize("split", ["train[5:2]", "train[0:0]", "train[:0%]"])
def test_a_split_without_documents_is_named(settings, split):
    with pytest.raises(ValueError, match=names(repr(split))):
        open_documents(settings(), split)


@pytest.mark.parametrize(("batch", "documents", "lanes"), [(8, 100, 8), (8, 5, 4), (7, 3, 1), (6, 0, 1), (10**9, 9, 8)])
def test_a_batch_has_as_many_lanes_as_there_are_documents_for(batch, documents, lanes):
    """Of a batch of any size, at once."""
    assert choose_lanes(batch, documents) == lanes
