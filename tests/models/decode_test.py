"""Decoding from the cache gives the logits of the full forward, token by token."""

import json
from pathlib import Path

import numpy as np
import pytest

from ropelab.encodings import ALL, Encoding, LearnedAbsolute
from ropelab.models import compiled
from ropelab.rope_settings import from_hf
from tests.encodings.codes import stand_ins
from tests.models import tiny

DECODE = dict(np.load(Path(__file__).parents[1] / "golden" / "decode.npz"))


@pytest.mark.parametrize("prefill", [1, 10, 24])
def test_any_prefill_decodes_to_the_full_forward(prefill: int) -> None:
    lab = tiny.lab()
    np.testing.assert_allclose(lab.decode_logits(tiny.SHORT, prefill=prefill), lab.logits(tiny.SHORT), atol=1e-4)


def applicable() -> list[Encoding]:
    """Of every code in the catalogue an encoding whose decoding is exact, with room for 80 positions."""
    roomier = {LearnedAbsolute: LearnedAbsolute(max_length=80)}
    return [roomier.get(type(e), e) for e in stand_ins(e for e in ALL if not e.depends_on_length).values()]


@pytest.mark.parametrize("encoding", applicable(), ids=repr)
def test_decoding_is_exact_across_the_trained_length(encoding: Encoding) -> None:
    """Static encodings from keys encoded once, the others from unrotated keys, one query's frame at a time."""
    lab = tiny.lab().swap(encoding)
    np.testing.assert_allclose(lab.decode_logits(tiny.LONG, prefill=20), lab.logits(tiny.LONG), atol=1e-4)


def test_a_pattern_decodes_exactly() -> None:
    lab = tiny.lab().swap("YaRN(factor=4.0, original_length=32)", "SlidingWindow(window=7)")
    np.testing.assert_allclose(lab.decode_logits(tiny.LONG, prefill=33), lab.logits(tiny.LONG), atol=1e-4)


def test_one_step_serves_every_length() -> None:
    """A growing cache compiles nothing, whatever the encoding makes of the length."""
    for spec in ("DynamicYaRN(original_length=32)", "DynamicNTK(factor=2.0, original_length=32, per='query')"):
        model = tiny.lab().swap(spec).model
        model.decode_logits(tiny.LONG, prefill=20)
        compilations = compiled.step._cache_size()  # pyright: ignore[reportFunctionMemberAccess]
        model.decode_logits(tiny.LONG, prefill=20)
        assert compiled.step._cache_size() == compilations  # pyright: ignore[reportFunctionMemberAccess]


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_what_remains_per_sequence_is_less_than_with_rotated_keys(kind: str) -> None:
    """Equal to transformers in every full forward across the trained length, and nearer to it when decoding.

    Largest difference of a logit (deviation 1.9): transformers 7.8 under both types, here 4.0 and 4.7.
    """
    rope = next(r["rope"] for r in map(json.loads, DECODE["ropes"]) if r["name"] == kind)
    lab = tiny.lab().swap(from_hf(tiny.config() | {"rope_parameters": rope | {"rope_theta": 1e4}}))
    lengths = np.array([21, 31, 32, 33, 34, 36, 44, 52, 60, 68, 76, 80])
    full = np.stack([np.asarray(lab.logits(tiny.LONG[:, :n]))[0, -1] for n in lengths])
    np.testing.assert_allclose(full, DECODE[f"{kind}/full"][lengths - 21], atol=2e-4)
    remains = np.abs(np.asarray(lab.decode_logits(tiny.LONG, prefill=20))[0, lengths - 1] - full)
    theirs = np.abs(DECODE[f"{kind}/decoded"] - DECODE[f"{kind}/full"])
    assert remains[lengths <= 32].max() < 1e-4
    assert 0.1 < remains.max() < 0.65 * theirs.max()


def test_dynamic_ntk_decodes_exactly_within_the_trained_length_and_boundedly_beyond() -> None:
    """The hidden states of earlier tokens were made under an earlier length, which no cache can undo. Unrotated keys
    leave that as the only difference, so it stays a fraction of what another text would make."""
    lab = tiny.lab("dynamic_2")
    decoded = lab.decode_logits(tiny.LONG, prefill=24)
    within = lab.logits(tiny.LONG[:, : tiny.TRAINED_LENGTH])
    np.testing.assert_allclose(decoded[:, : tiny.TRAINED_LENGTH], within, atol=1e-4)
    full = np.asarray(lab.logits(tiny.LONG)[0, -1])
    difference = float(np.sqrt(np.mean(np.square(decoded[0, -1] - full))) / full.std())
    message = f"80 tokens decoded differ from the full forward by {difference} deviations of its logits"
    assert np.isfinite(decoded).all(), message
    assert 1e-4 < difference < 0.5, message


def test_decoding_leaves_the_model_as_it_was() -> None:
    """The cache is donated and rewritten; nothing of one call may be seen by the next."""
    lab = tiny.lab()
    first = np.asarray(lab.decode_logits(tiny.SHORT, prefill=10))
    np.testing.assert_array_equal(lab.decode_logits(tiny.SHORT, prefill=10), first)


def test_generation_is_the_most_probable_token_again_and_again() -> None:
    lab = tiny.lab(tokenizer=True)
    assert lab.tokenizer is not None
    prompt = "def attend(q, k):"
    text = prompt + lab.generate(prompt, max_new_tokens=6)
    ids = np.asarray([lab.tokenizer.encode(text)])
    assert ids.shape[1] == len(prompt) + 6
    best = np.asarray(lab.logits(ids)).argmax(axis=-1)
    np.testing.assert_array_equal(best[0, len(prompt) - 1 : -1], ids[0, len(prompt) :])


def test_generation_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="max_new_tokens=0"):
        tiny.lab(tokenizer=True).generate("a", max_new_tokens=0)
    with pytest.raises(ValueError, match="no tokenizer"):
        tiny.lab().generate("a")
    with pytest.raises(ValueError, match="tokens"):
        tiny.lab(tokenizer=True).generate("")
