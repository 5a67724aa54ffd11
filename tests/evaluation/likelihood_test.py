"""Continuations judged in batches and alone, against the loss and the logits of the same texts."""

import math

import numpy as np
import pytest

from ropelab.evaluation.answers import batch_texts, bucket_size, score_continuations
from tests.errors import names
from tests.models import tiny

RNG = np.random.default_rng(0)
TEXTS = [RNG.integers(0, tiny.VOCABULARY, n).tolist() for n in (5, 33, 33, 60, 2, 48)]
STARTS = [1, 30, 32, 20, 1, 40]


@pytest.mark.parametrize(
    "spec", ["RoPE", "ALiBi", "DynamicNTK(factor=2.0, original_length=8)", "LearnedAbsolute(max_length=60)"]
)
def test_together_is_as_alone_and_as_the_loss(spec: str) -> None:
    """A text's length matters to DynamicNTK, and a place beyond 60 is none of LearnedAbsolute's."""
    model = tiny.lab().swap(spec).model
    together = score_continuations(model, TEXTS, STARTS)
    for text, start, found in zip(TEXTS, STARTS, together, strict=True):
        nll = np.asarray(model.nll([text]))[0, start - 1 :]
        assert found.nll == pytest.approx(nll.sum(dtype=np.float64), rel=2e-5, abs=2e-5)
        assert found.tokens == len(text) - start
        assert score_continuations(model, [text], [start])[0].nll == pytest.approx(found.nll, rel=1e-5)


def test_what_greedy_decoding_says_is_the_likeliest() -> None:
    lab = tiny.lab()
    prompt = TEXTS[1]
    said = list(prompt)
    for _ in range(6):
        said.append(int(np.argmax(np.asarray(lab.logits([said]))[0, -1])))
    other = [*said[:-1], (said[-1] + 1) % tiny.VOCABULARY]
    found = score_continuations(lab.model, [said, other, said], [len(prompt), len(prompt), len(said) - 1])
    assert [one.greedy for one in found] == [True, False, True]
    assert math.exp(-found[2].nll) > 1 / tiny.VOCABULARY


def test_few_shapes_are_compiled() -> None:
    assert [bucket_size(n) for n in (1, 32, 33, 48, 49, 64, 65, 97, 1000, 1025)] == [
        *(32, 32, 48, 48, 64, 64, 96, 128, 1024, 1536)
    ]
    model = tiny.lab().model
    lengths = RNG.integers(2, 3000, 300).tolist()
    found = batch_texts(model, lengths)
    assert sorted(i for batch in found for i in batch) == list(range(300))
    shapes = {(len(batch), bucket_size(max(lengths[i] for i in batch))) for batch in found}
    assert len(shapes) < 40
    assert all(len(batch) * bucket_size(lengths[i]) <= 8192 or len(batch) == 1 for batch in found for i in batch)
    growing = tiny.lab().swap("DynamicNTK(factor=2.0, original_length=8)").model
    assert all(len({lengths[i] for i in batch}) == 1 for batch in batch_texts(growing, lengths))


@pytest.mark.parametrize("start", [0, 5, 6])
def test_nothing_to_judge_is_refused(start: int) -> None:
    with pytest.raises(ValueError, match=names(f"start={start}", 5)):
        score_continuations(tiny.lab().model, [TEXTS[0]], [start])
