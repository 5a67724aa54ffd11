"""A length that does not fit is refused before anything is compiled, and the message says what would fit."""

import pytest

from ropelab.evaluation import memory
from ropelab.evaluation.memory import available_bytes, check_memory, scoring_bytes
from ropelab.models.config import Wiring
from ropelab.models.llama import LlamaConfig
from tests.errors import names
from tests.models import tiny

SMOLLM2 = LlamaConfig(
    vocabulary=49152,
    width=576,
    layers=30,
    heads=9,
    key_heads=3,
    head_dim=64,
    feed_forward=1536,
    norm_eps=1e-5,
    trained_length=8192,
    tied_head=True,
)
WIRING = tiny.lab().model.wiring._replace(config=SMOLLM2)


def wired(kernel: str) -> Wiring:
    return WIRING._replace(kernel=kernel)


def test_there_is_memory() -> None:
    there = available_bytes()
    assert there is not None
    assert 1e6 < there < 1e14


@pytest.mark.parametrize(("kernel", "remedy"), [("auto", "shorter length"), ("dense", "kernel=blockwise")])
def test_the_message_names_the_length_and_the_remedy(kernel: str, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**9)
    with pytest.raises(ValueError, match=names(65536, "1.0 GB", remedy)):
        check_memory(wired(kernel), 65536, 2048, "float32")
    check_memory(wired("auto"), 4096, 2048, "float32")


def test_where_nobody_knows_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    check_memory(wired("dense"), 10**9, 2048, "float32")


def test_the_estimate_grows_as_memory_does() -> None:
    """With the length; by the scores where they are held all at once; less with narrower numbers. Twice the length is
    twice the cache and no more, because the scores of a part and a block are what they were."""
    long, longer = (scoring_bytes(wired("auto"), n, 2048, "float32") for n in (16384, 32768))
    assert long < longer < 2 * long
    assert scoring_bytes(wired("dense"), 32768, 2048, "float32") > 3 * longer
    assert scoring_bytes(wired("auto"), 32768, 2048, "bfloat16") < longer
    cache = 2 * 30 * 32768 * 3 * 64 * 4
    assert longer > 2 * cache
