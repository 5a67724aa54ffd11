"""The test split's first tokens: each predicted once, whatever the length of the windows."""

import numpy as np
import pytest

from ropelab.data.documents import open_documents
from ropelab.data.held_out import load_held_out
from ropelab.data.positions import PerDocument, PoSE
from tests.errors import names


def text_of(settings):
    found = open_documents(settings, settings.test_split)
    return np.concatenate([np.append(np.frombuffer(found.text(i), np.uint8), 0) for i in range(len(found.records))])


@pytest.mark.parametrize("length", [1, 7, 16, 50, 64])
def test_each_token_but_the_first_is_a_target_once(settings, length):
    given = settings(test_split="train")
    text = text_of(given)[:301]
    rows = load_held_out(given, length=length, tokens=301)
    assert rows.tokens.shape == (-(-300 // length), length)
    asked = rows.weights == 1
    assert rows.weights.sum() == 300
    assert (rows.targets[asked] == text[1:]).all()
    assert (rows.tokens[asked] == text[:-1]).all()
    assert (rows.positions == np.arange(length)).all()
    assert ((rows.segments < 0) <= ~asked).all()


@pytest.mark.parametrize("length", [5, 8, 32])
def test_blocks_lie_evenly_over_the_split_and_are_the_same_at_every_length(settings, length):
    given = settings(test_split="train")
    text = text_of(given)
    rows = load_held_out(given, length=length, tokens=128, block=32)
    starts = np.linspace(0, len(text) - 33, 4).astype(int)
    asked = rows.weights == 1
    assert (rows.targets[asked] == np.concatenate([text[s + 1 : s + 33] for s in starts])).all()
    assert rows.tokens.shape == (4 * -(-32 // length), length)


def test_blocks_never_overlap(settings):
    text = text_of(settings(test_split="train"))
    rows = load_held_out(settings(test_split="train"), length=32, tokens=10**6, block=32)
    assert 0 <= len(text) - 33 * len(rows.tokens) < 33


def test_a_short_split_gives_what_it_has(settings):
    text = text_of(settings())
    rows = load_held_out(settings(), length=64, tokens=10**6)
    assert rows.weights.sum() == len(text) - 1


def test_separate_documents_are_not_asked_for_their_first_token(settings):
    given = settings(test_split="train", separate_documents=True, positions=PerDocument())
    text = text_of(given)[:500]
    rows = load_held_out(given, length=40, tokens=500)
    follows = (text[:-1] != 0).astype(np.float32)
    assert (rows.weights.ravel()[:499] == follows).all()
    begins = np.diff(rows.segments, axis=1, prepend=-2) != 0
    assert ((rows.positions == 0) == begins).all()


def test_measuring_places_tokens_where_they_stand(settings):
    drawn = load_held_out(settings(positions=PoSE(length=1000)), length=16, tokens=60)
    assert (drawn.positions == np.arange(16)).all()


def test_tasks_are_measured_on_examples_of_their_own(settings):
    given = settings(source="Copy()")
    rows = load_held_out(given, length=32, tokens=320)
    assert rows.tokens.shape == (10, 32)
    assert len({row.tobytes() for row in rows.tokens}) == 10
    assert (load_held_out(given, length=32, tokens=320).tokens == rows.tokens).all()


def test_what_is_too_little_is_refused(settings):
    with pytest.raises(ValueError, match="tokens"):
        load_held_out(settings(), length=16, tokens=1)
    with pytest.raises(ValueError, match=names("'validation'", "train", "test")):
        load_held_out(settings(test_split="validation"), length=16, tokens=100)
