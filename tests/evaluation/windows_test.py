"""Sliding windows against loops written out and against YaRN's own script; LongPPL against its authors' key tokens."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from ropelab.evaluation.perplexity import (
    Window,
    find_key_tokens,
    long_perplexity,
    score_windows,
    short_context_nll,
    sliding_windows,
)
from tests.models import tiny

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "measures.npz"))
WINDOWS = [json.loads(case) for case in GOLDEN["windows/cases"]]
KEYS = [json.loads(case) for case in GOLDEN["key_tokens/cases"]]
TOKENS = tiny.LONG[0]


def test_every_token_is_scored_once_and_the_last_window_ends_with_the_text() -> None:
    assert sliding_windows(10, 4, 3) == (Window(0, 4, 1), Window(3, 7, 4), Window(6, 10, 7))
    assert sliding_windows(11, 4, 3)[-1] == Window(9, 11, 10)  # shorter, with the context that it has left
    assert sliding_windows(8, 4, 4) == (Window(0, 4, 1), Window(4, 8, 5))
    assert sliding_windows(9, 4, 4) == (Window(0, 4, 1), Window(4, 8, 5))  # a window of one token scores nothing
    assert sliding_windows(9, 4, 4, bos=True)[-1] == Window(8, 9, 8)
    assert sliding_windows(3, 8, 2) == (Window(0, 3, 1),)


@pytest.mark.parametrize(("tokens", "length", "stride"), [(80, 16, 5), (80, 80, 1), (33, 16, 16), (17, 16, 7)])
def test_windows_leave_out_nothing_but_what_has_no_context(tokens: int, length: int, stride: int) -> None:
    scored = [t for w in sliding_windows(tokens, length, stride) for t in range(w.first, w.end)]
    without = set(range(0, tokens, length)) if stride == length else {0}
    assert scored == [t for t in range(tokens) if t not in without]


@pytest.mark.parametrize("case", WINDOWS, ids=str)
def test_the_mean_of_windows_is_yarns(case: dict) -> None:
    bos = 1 if case["bos"] else None
    found = score_windows(tiny.lab().model, TOKENS, length=case["length"], stride=case["stride"], bos=bos)
    assert found.by_windows == pytest.approx(GOLDEN["windows/perplexity"][WINDOWS.index(case)], rel=2e-5)


def test_by_tokens_is_the_mean_of_what_each_token_has_in_its_own_window() -> None:
    model = tiny.lab().model
    found = score_windows(model, TOKENS[:30], length=16, stride=6)
    total = 0.0
    for t in range(1, 30):
        start = 0 if t < 16 else 6 * math.ceil((t - 15) / 6)
        total += float(np.asarray(model.nll(TOKENS[None, start : t + 1]))[0, -1])
    assert found.by_tokens.tokens == 29
    assert found.by_tokens.nll == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(("tokens", "length", "stride"), [(1, 4, 2), (9, 1, 1), (9, 4, 0), (9, 4, 5)])
def test_windows_that_cannot_be_are_refused(tokens: int, length: int, stride: int) -> None:
    with pytest.raises(ValueError, match="stride"):
        sliding_windows(tokens, length, stride)


@pytest.mark.parametrize("number", range(len(KEYS)))
def test_key_tokens_are_the_authors(number: int) -> None:
    case, model = KEYS[number], tiny.lab().model
    full = np.concatenate([[np.nan], np.asarray(model.nll(TOKENS[None]))[0]])
    short = short_context_nll(model, TOKENS, short=case["short"], step=case["step"], advance=lambda tokens: None)
    found = np.flatnonzero(find_key_tokens(full, short, alpha=case["alpha"], beta=case["beta"]))
    np.testing.assert_array_equal(found, GOLDEN[f"key_tokens/{number}"])


def test_long_perplexity_is_the_mean_over_key_tokens() -> None:
    model = tiny.lab().model
    nothing = long_perplexity(model, TOKENS, short=16, step=8)
    assert (nothing.key.tokens, nothing.candidates) == (0, 64)
    assert math.isnan(nothing.perplexity)
    full = np.concatenate([[np.nan], np.asarray(model.nll(TOKENS[None]))[0]])
    key = GOLDEN["key_tokens/0"]
    found = long_perplexity(model, TOKENS, short=16, step=8, alpha=0.05, beta=-5.0)
    assert found.key.tokens == key.size
    assert found.perplexity == pytest.approx(math.exp(full[key].mean()), rel=1e-5)
    other = tiny.lab().swap("PI(factor=2.0)").model
    judged = long_perplexity(other, TOKENS, evaluator=model, short=16, step=8, alpha=0.05, beta=-5.0)
    own = np.concatenate([[np.nan], np.asarray(other.nll(TOKENS[None]))[0]])
    assert judged.perplexity == pytest.approx(math.exp(own[key].mean()), rel=1e-5)
    with pytest.raises(ValueError, match="short=80"):
        long_perplexity(model, TOKENS, short=80)
