"""A state is small, is JSON, and is all that a fresh stream needs to go on bit for bit."""

import json
from itertools import islice

import numpy as np
import pytest

from ropelab.data.positions import PerDocument, PoSE, Randomised
from ropelab.data.settings import DataSettings
from ropelab.data.stream import open_stream
from tests.data.texts import folder, same

SIZES = {"length": 32, "batch": 4, "seed": 7}
TEXTS = (
    {},
    {"lanes": 1},
    {"lanes": 2},
    {"lanes": 4, "packing": "first_fit"},
    {"packing": "first_fit", "separate_documents": True, "positions": PerDocument()},
    {"positions": PoSE(length=100)},
    {"positions": Randomised(length=100), "lanes": 2},
)
TASKS = ("Copy(varied=True)", "Counting()")


@pytest.fixture(params=[*TEXTS, *({"source": task} for task in TASKS)], ids=str)
def each(request, settings):
    return settings(**request.param)


def test_two_streams_give_the_same_and_another_seed_another(each):
    one, two = open_stream(each, **SIZES), open_stream(each, **SIZES)
    other = open_stream(each, **SIZES | {"seed": 8})
    assert all(same(next(one), next(two)) for _ in range(40))
    assert not same(next(one), next(other))


def test_a_fresh_stream_goes_on_from_any_state(each):
    """Over more than two epochs of text, 1,987 tokens of training text being some 15 batches."""
    stream = open_stream(each, **SIZES)
    states, batches = [], []
    for _ in range(45):
        states.append(json.dumps(stream.state()))
        assert json.loads(states[-1]) == stream.state()
        batches.append(next(stream))
    assert max(map(len, states)) < 1200
    for n in (0, 1, 8, 14, 15, 16, 39):
        fresh = open_stream(each, **SIZES)
        fresh.restore(json.loads(states[n]))
        assert json.dumps(fresh.state()) == states[n]
        assert all(same(next(fresh), batch) for batch in batches[n : n + 5])


def test_a_stream_that_was_used_goes_back(each):
    stream = open_stream(each, **SIZES)
    state = stream.state()
    first = list(islice(stream, 20))
    stream.restore(state)
    assert all(same(a, b) for a, b in zip(first, islice(stream, 20), strict=True))


@pytest.mark.parametrize("packing", ["concatenate", "first_fit"])
def test_documents_that_end_with_their_window_leave_a_state_that_json_does_not_change(packing, tmp_path):
    """Grain compares the remains of a document, none here, with a tuple, which JSON makes a list."""
    place = folder(tmp_path / "even", (28,) * 30)
    settings = DataSettings(source=f"local_text:{place}", data_dir=str(tmp_path / "prepared"), packing=packing)
    stream = open_stream(settings, length=32, batch=4, seed=0)
    for _ in range(12):
        state, fresh = json.loads(json.dumps(stream.state())), open_stream(settings, length=32, batch=4, seed=0)
        fresh.restore(state)
        assert same(next(fresh), next(stream))


def test_a_process_runs_only_the_lanes_of_its_rows_and_takes_its_part_of_a_state(settings):
    given = settings(lanes=4, packing="first_fit")
    sizes = SIZES | {"batch": 8}
    halves = [open_stream(given, rows=range(*rows), **sizes) for rows in ((0, 4), (4, 8))]
    for half in halves:
        list(islice(half, 9))
    states = [half.state() for half in halves]
    assert [list(state["lanes"]) for state in states] == [["0", "1"], ["2", "3"]]
    together = states[0] | {"lanes": states[0]["lanes"] | states[1]["lanes"]}
    middle = open_stream(given, rows=range(2, 6), **sizes)
    middle.restore(json.loads(json.dumps(together)))
    one, two, both = next(halves[0]), next(halves[1]), next(middle)
    assert (both.tokens == np.concatenate([one.tokens[2:], two.tokens[:2]])).all()
    with pytest.raises(ValueError, match=r"\[1\]"):
        middle.restore(states[1])
