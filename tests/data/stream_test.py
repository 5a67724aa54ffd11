"""Batches are a function of (settings, length, batch, seed), resumable anywhere, the same for any division of rows."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from ropelab.data.documents import open_documents
from ropelab.data.packing import TextStream
from ropelab.data.positions import PoSE, Randomised
from ropelab.data.stream import open_stream
from tests.data.texts import same, windows

SIZES = {"length": 32, "batch": 4, "seed": 7}


def documents(settings):
    found = open_documents(settings, settings.split)
    return [found.text(i) for i in range(len(found.records))]


def lane_of(settings, **sizes):
    stream = open_stream(settings, **SIZES | sizes)
    assert isinstance(stream, TextStream)
    return stream.lanes[0]


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("packing", ["concatenate", "first_fit"])
@pytest.mark.parametrize("divided", [((0, 4), (4, 8)), ((0, 2), (2, 4), (4, 6), (6, 8)), ((0, 3), (3, 4), (4, 8))])
def test_rows_of_several_processes_are_the_batch(settings, lanes, packing, divided):
    given = settings(lanes=lanes, packing=packing, positions=PoSE(length=64))
    sizes = SIZES | {"batch": 8}
    whole = open_stream(given, **sizes)
    streams = [open_stream(given, rows=slice(*rows), **sizes) for rows in divided]
    for _ in range(12):
        parts = [next(stream) for stream in streams]
        assert [len(part.tokens) for part in parts] == [stop - start for start, stop in divided]
        assert same(next(whole), type(parts[0])(*map(np.concatenate, zip(*parts, strict=True))))


def test_an_epoch_has_each_document_once_whole_and_ended(settings):
    """Where an epoch ends the next goes on in the same window, in another order."""
    batches = islice(open_stream(settings(lanes=1), **SIZES), 40)
    texts = bytes(np.concatenate([windows(batch).ravel() for batch in batches]).astype(np.uint8)).split(b"\0")
    epoch = sorted(documents(settings()))
    count = len(epoch)
    first, second = texts[:count], texts[count : 2 * count]
    assert sorted(first) == sorted(second) == epoch
    assert first != second


def test_lanes_share_the_documents_of_an_epoch(settings):
    """Lane l reads every second document from the l-th of the order that one lane would read."""
    order = bytes(
        np.concatenate([windows(b).ravel() for b in islice(open_stream(settings(lanes=1), **SIZES), 30)]).astype("u1")
    )
    lanes = open_stream(settings(lanes=2), **SIZES)
    rows = np.concatenate([windows(next(lanes)).reshape(2, -1) for _ in range(30)], axis=1).astype("u1")
    count = len(documents(settings()))
    for number, lane in enumerate(rows):
        expected = order.split(b"\0")[number:count:2]
        assert bytes(lane).split(b"\0")[: len(expected)] == expected


def test_a_row_has_a_lane_of_its_own_unless_documents_are_few(settings):
    """A batch of 4 rows is 4 places of the text; 40 rows find 19 documents, and 10 lanes leave each lane 4 rows."""
    for batch, lanes in ((4, 4), (40, 10), (19, 19), (23, 1)):
        stream = open_stream(settings(), length=32, batch=batch, seed=7)
        assert sorted(stream.lanes) == list(range(lanes))
        assert same(next(stream), next(open_stream(settings(lanes=lanes), length=32, batch=batch, seed=7)))


def test_first_fit_keeps_documents_whole_and_leaves_none_out(settings):
    """One batch is one set of bins, so that what was given is the beginning of the order: no piece is twice ahead."""
    given = settings(packing="first_fit", lanes=1)
    lane = lane_of(given, batch=16)
    window = 33
    tokens = [np.append(np.frombuffer(text, np.uint8), 0) for text in documents(given)]
    pieces = Counter(bytes(t[i : i + window].astype(np.uint8)) for t in tokens for i in range(0, len(t), window))
    found: Counter[bytes] = Counter()
    for _ in range(40):
        for row, segments in zip(*next(lane), strict=True):
            used = segments >= 0
            assert not used[np.argmin(used) :].any() or used.all()
            found.update(bytes(row[segments == s].astype(np.uint8)) for s in range(segments.max() + 1))
            assert (np.diff(segments[used]) >= 0).all()
    assert found.keys() == pieces.keys()
    rounds = [found[piece] / times for piece, times in pieces.items()]
    assert min(rounds) > 3
    assert max(rounds) - min(rounds) <= 1


def test_each_row_of_each_batch_of_each_lane_has_positions_of_its_own(settings):
    """But for lane 0 of four, whose 32 rows are drawn as the first 32 of the only lane are."""
    found = set()
    for lanes, seed in ((1, 7), (4, 7), (1, 8)):
        given = settings(lanes=lanes, positions=Randomised(length=1000))
        for batch in islice(open_stream(given, **SIZES | {"batch": 8, "seed": seed}), 16):
            found.update(row.tobytes() for row in batch.positions)
    assert len(found) == 3 * 128 - 32


def test_neighbouring_seeds_have_different_orders(settings):
    """Grain adds the epoch to its seed: the second epoch of seed 0 would be the first of seed 1."""
    count = len(documents(settings()))
    orders = []
    for seed in (0, 1):
        stream = open_stream(settings(), **SIZES | {"seed": seed})
        text = bytes(np.concatenate([windows(b).ravel() for b in islice(stream, 60)]).astype(np.uint8))
        orders.append(text.split(b"\0"))
    assert orders[0][count : 2 * count] != orders[1][:count]
