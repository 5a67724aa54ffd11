"""A tiny Llama under every rope variant of transformers gives the logits that transformers gives."""

from pathlib import Path

import numpy as np
import pytest

import ropelab
from tests.models import tiny

TOLERANCE = 2e-4  # float32 in another order differs by 3e-5; two variants differ by 1e-2 and more
LONG_ROWS = tiny.GOLDEN["long_rows"]


def short_and_long(lab: ropelab.Lab) -> tuple[np.ndarray, np.ndarray]:
    """Logits of both frozen texts. Nothing that follows a text can change it, so where no length matters one program
    runs both, the short text followed by anything."""
    if lab.encoding.depends_on_length:
        return np.asarray(lab.logits(tiny.SHORT)), np.asarray(lab.logits(tiny.LONG))[:, LONG_ROWS]
    followed = np.pad(tiny.SHORT, ((0, 0), (0, tiny.LONG.shape[1] - tiny.SHORT.shape[1])))
    logits = np.asarray(lab.logits(np.concatenate([followed, tiny.LONG])))
    return logits[:2, : tiny.SHORT.shape[1]], logits[2:, LONG_ROWS]


@pytest.mark.parametrize("variant", tiny.VARIANTS)
def test_logits_are_those_of_transformers(variant: str, tmp_path: Path) -> None:
    """Through the real loader, from what transformers 5 and 4 wrote, below and beyond the trained length."""
    for form in ("config_v5", "config_v4"):
        lab = ropelab.load(tiny.write(tmp_path / form, variant, settings=tiny.config(variant, form)))
        for name, logits in zip(("short", "long"), short_and_long(lab), strict=True):
            np.testing.assert_allclose(logits, tiny.GOLDEN[f"logits/{variant}/{name}"], atol=TOLERANCE)
            assert logits.dtype == np.float32


def test_all_frozen_variants_are_read() -> None:
    assert len(tiny.VARIANTS) == 16


def test_bfloat16_is_near_float32(tmp_path: Path) -> None:
    """Eight bits of mantissa over two layers: off by some hundredths of logits with deviation 2, not more, not 0."""
    wide, narrow = tiny.lab(), ropelab.load(tiny.write(tmp_path), dtype="bfloat16")
    logits = narrow.logits(tiny.SHORT)
    error = np.sqrt(np.mean(np.square(logits - wide.logits(tiny.SHORT))))
    assert logits.dtype == np.float32
    assert 1e-3 < error < 0.05, error


@pytest.mark.parametrize(
    "tokens",
    [
        [[0, tiny.VOCABULARY]],
        [[-1, 3]],
        [0, 1, 2],
        [[[0, 1]]],
        [[0.0, 1.0]],
        [[]],
        [["a", "b"]],
        np.zeros((0, 4), np.int32),
    ],
    ids=["beyond the vocabulary", "negative", "rank 1", "rank 3", "floats", "no tokens", "text", "no rows"],
)
def test_tokens_that_are_none_are_refused(tokens: object) -> None:
    """A gather out of range is clamped on a device, and the result looks like a result."""
    model = tiny.lab().model
    for call in (model.logits, model.nll, lambda x: model.decode_logits(x, prefill=1)):
        with pytest.raises(ValueError, match=r"tokens must be integers|token ids run from"):
            call(tokens)


@pytest.mark.parametrize("prefill", [0, -1, 25])
def test_a_prefill_outside_the_tokens_is_refused(prefill: int) -> None:
    with pytest.raises(ValueError, match=f"prefill={prefill}"):
        tiny.lab().decode_logits(tiny.SHORT, prefill=prefill)


def test_one_token_has_no_likelihood() -> None:
    with pytest.raises(ValueError, match="at least 2 tokens"):
        tiny.lab().nll([[5]])


def test_tokens_of_any_integer_type_and_container_are_the_same() -> None:
    lab = tiny.lab()
    expected = lab.logits(tiny.SHORT)
    for tokens in (tiny.SHORT.tolist(), tiny.SHORT.astype(np.uint8), tiny.SHORT.astype(np.int64)):
        np.testing.assert_array_equal(lab.logits(tokens), expected)
