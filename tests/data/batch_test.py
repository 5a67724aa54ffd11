"""Targets follow tokens; weights are 0 for padding and, if documents are separate, for what follows from another."""

import numpy as np
import pytest

from ropelab.data.batch import join_rows, make_batch, split_rows, take_rows
from tests.data.texts import same

WINDOWS = np.array([[5, 6, 0, 7, 0, 0], [1, 2, 3, 4, 5, 6]])
SEGMENTS = np.array([[0, 0, 0, 1, 1, -1], [0, 0, 1, 1, 1, 1]])
POSITIONS = np.tile(np.arange(5, dtype=np.int32), (2, 1))


def test_each_token_is_followed_by_its_target():
    batch = make_batch(WINDOWS, SEGMENTS, POSITIONS, separate=False)
    assert batch.tokens.tolist() == [[5, 6, 0, 7, 0], [1, 2, 3, 4, 5]]
    assert batch.targets.tolist() == [[6, 0, 7, 0, 0], [2, 3, 4, 5, 6]]
    assert batch.segments.tolist() == [[0, 0, 0, 1, 1], [0, 0, 1, 1, 1]]
    assert [part.dtype for part in batch] == [np.int32, np.int32, np.float32, np.int32, np.int32]
    assert all(part.flags.c_contiguous for part in batch)


@pytest.mark.parametrize(
    "separate, weights", [(False, [[1, 1, 1, 1, 0], [1] * 5]), (True, [[1, 1, 0, 1, 0], [1, 0, 1, 1, 1]])]
)
def test_weights_leave_out_padding_and_other_documents(separate, weights):
    assert make_batch(WINDOWS, SEGMENTS, POSITIONS, separate).weights.tolist() == weights


def test_weights_leave_out_what_cannot_be_known():
    known = np.array([[1, 0, 1, 0, 1], [0, 0, 0, 0, 1]], bool)
    batch = make_batch(WINDOWS, SEGMENTS, POSITIONS, separate=False, known=known)
    assert batch.weights.tolist() == [[1, 0, 1, 0, 0], [0, 0, 0, 0, 1]]


def test_rows_are_given_a_batch_at_a_time_and_filled_up():
    one = make_batch(WINDOWS, SEGMENTS, POSITIONS, separate=False)
    rows = join_rows([one, one, take_rows(one, range(1))])
    batches = list(split_rows(rows, 2))
    assert [b.tokens.shape for b in batches] == [(2, 5)] * 3
    assert same(take_rows(join_rows(batches), range(5)), rows)
    assert batches[-1].weights[1].sum() == 0
    assert (batches[-1].segments[1] == -1).all()
    assert (batches[-1].positions == POSITIONS).all()
    with pytest.raises(ValueError, match="size=0"):
        next(split_rows(rows, 0))
