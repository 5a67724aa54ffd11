"""Texts become ids and end: bytes, or a model's own tokenizer."""

from itertools import islice

import numpy as np
import pytest

from ropelab.data.documents import open_documents
from ropelab.data.held_out import load_held_out
from ropelab.data.settings import make_coder
from ropelab.data.stream import open_stream
from tests.data.texts import windows


class Letters:
    """A tokenizer that numbers letters from 1000 on and says nothing of line breaks."""

    def __init__(self, eos_id=7):
        self.eos_id = eos_id

    def encode(self, text):
        return [1000 + ord(letter) for letter in text if letter != "\n"]


def test_bytes_are_themselves_and_end_with_0():
    ids = make_coder("bytes", Letters()).document("aé\n".encode())
    assert ids.tolist() == [97, 0xC3, 0xA9, 10, 0]
    assert ids.dtype == np.int32


def test_a_model_s_tokens_end_with_its_own_end():
    text = make_coder("model", Letters())
    assert text.document("aé\n".encode()).tolist() == [1097, 1233, 7]
    assert text.document(b"\xff").tolist() == [1000 + 0xFFFD, 7]
    assert text.document(b"").tolist() == [7]


def test_a_stream_and_what_is_held_out_are_in_the_model_s_tokens(settings):
    given, tokenizer = settings(tokenizer="model", lanes=1), Letters()
    stream = open_stream(given, length=16, batch=2, seed=0, tokenizer=tokenizer)
    found = open_documents(given, "train")
    count = len(found.records)
    expected = sorted(tokenizer.encode(found.text(i).decode()) for i in range(count))
    ids = np.concatenate([windows(batch).ravel() for batch in islice(stream, 80)])
    documents = [part.tolist() for part in np.split(ids, np.nonzero(ids == 7)[0])][: count + 1]
    assert sorted(part[1:] if part[0] == 7 else part for part in documents[:count]) == expected
    rows = load_held_out(given, length=16, tokens=20, tokenizer=tokenizer)
    assert set(rows.targets[rows.weights > 0]) <= {7, *range(1000, 1128)}


@pytest.mark.parametrize("tokenizer", [None, Letters(None)])
def test_a_model_without_what_is_needed_is_refused(tokenizer):
    with pytest.raises(ValueError, match='tokenizer="bytes"'):
        make_coder("model", tokenizer)
