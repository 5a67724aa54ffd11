"""Generation: prompts of different lengths side by side, sampling, streaming and the chat template."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.checkpoints.prompts import StreamDecoder, apply_chat_template
from ropelab.errors import CheckpointError
from ropelab.lab import Lab
from ropelab.models import generation
from ropelab.models.generation import Decoder
from ropelab.models.sampling import sample
from tests.models import tiny

PROMPTS = ([5, 6, 7], list(range(1, 41)), [9])
CHATML = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.mark.parametrize(
    "spec", ["RoPE()", "ALiBi()", "XPos()", "DynamicNTK(factor=2, original_length=32, per='query')"]
)
def test_a_batch_of_unequal_prompts_continues_each_as_alone(spec: str) -> None:
    model = tiny.lab().swap(spec).model
    together = np.stack(list(generation.tokens(model, PROMPTS, 8)))
    for n, prompt in enumerate(PROMPTS):
        alone = np.concatenate(list(generation.tokens(model, [prompt], 8)))
        np.testing.assert_array_equal(together[:, n], alone)


def test_a_long_prompt_is_read_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.lab().model
    whole = Decoder(model, PROMPTS, 4).logits_BV
    monkeypatch.setattr(generation, "CHUNK", 16)
    np.testing.assert_allclose(Decoder(model, PROMPTS, 4).logits_BV, whole, atol=1e-5)
    for prompt, logits in zip(PROMPTS, whole, strict=True):
        np.testing.assert_allclose(logits, model.logits([prompt])[0, -1], atol=1e-5)


def test_a_row_that_has_ended_says_so_until_all_have() -> None:
    model = tiny.lab().model
    free = np.stack(list(generation.tokens(model, PROMPTS, 8)))
    stop = int(free[2, 0])
    found = np.stack(list(generation.tokens(model, PROMPTS, 8, stop=stop)))
    for n in range(len(PROMPTS)):
        ends = np.flatnonzero(free[:, n] == stop)
        end = ends[0] if ends.size else 8
        np.testing.assert_array_equal(found[:end, n], free[: min(end, len(found)), n])
        assert (found[end:, n] == -1).all()


def test_greedy_sampling_and_its_limits() -> None:
    """A small temperature and a small top-p are greedy; the draws follow the distribution that is left."""
    logits = jnp.log(jnp.asarray([[0.5, 0.3, 0.15, 0.05]]))
    assert sample(logits, jax.random.key(0))[0] == 0
    for number in range(20):
        key = jax.random.key(number)
        assert sample(logits, key, temperature=0.01)[0] == 0
        assert sample(logits, key, temperature=1.0, top_p=0.4)[0] == 0
    many = jnp.repeat(logits, 20_000, axis=0)
    drawn = np.bincount(sample(many, jax.random.key(1), temperature=1.0, top_p=0.75), minlength=4) / 20_000
    np.testing.assert_allclose(drawn, [0.625, 0.375, 0.0, 0.0], atol=0.015)
    warm = np.bincount(sample(many, jax.random.key(2), temperature=2.0), minlength=4) / 20_000
    root = np.sqrt([0.5, 0.3, 0.15, 0.05])
    np.testing.assert_allclose(warm, root / root.sum(), atol=0.015)


def test_sampling_is_fixed_by_its_seed() -> None:
    model = tiny.lab().model
    one, again, other = (
        np.stack(list(generation.tokens(model, PROMPTS, 12, temperature=1.0, seed=seed))) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize(("given", "named"), [({"temperature": -1.0}, "temperature=-1"), ({"top_p": 0.0}, "top_p=0")])
def test_sampling_refuses_what_it_cannot_do(given: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        list(generation.tokens(tiny.lab().model, PROMPTS, 1, **given))


def test_a_text_streams_in_the_pieces_it_is_made_of() -> None:
    lab = tiny.lab(tokenizer=True)
    prompt = "def attend(q, k):"
    pieces = list(lab.stream(prompt, max_new_tokens=6))
    assert len(pieces) == 6
    assert "".join(pieces) == lab.generate(prompt, max_new_tokens=6)
    assert lab.generate([prompt, "a"], max_new_tokens=6)[0] == "".join(pieces)


def test_half_a_character_is_held_back() -> None:
    class Bytes:
        def decode(self, ids: list[int]) -> str:
            return bytes(ids).decode(errors="replace")

    written = StreamDecoder(Bytes(), list(b"caf"))  # type: ignore[arg-type]
    assert [written.add(b) for b in "é!".encode()] == ["", "é", "!"]
    assert written.add(0xE2) == ""
    assert written.flush() == "\ufffd"


def chatty(template: str | None) -> Lab:
    lab = tiny.lab(tokenizer=True)
    assert lab.tokenizer is not None
    return dataclasses.replace(lab, tokenizer=dataclasses.replace(lab.tokenizer, chat_template=template))


def test_a_message_is_put_into_the_chat_template() -> None:
    lab = chatty(CHATML)
    assert lab.tokenizer is not None
    written = "<|user|>hello\n<|assistant|>"
    assert apply_chat_template(lab.tokenizer, "hello") == written
    assert lab.generate("hello", max_new_tokens=4, chat=True) == lab.generate(written, max_new_tokens=4)


def test_a_template_is_asked_for_where_there_is_none() -> None:
    with pytest.raises(ValueError, match="no chat template"):
        chatty(None).generate("hello", chat=True)


@pytest.mark.parametrize("template", ["{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}", "{% if %}"])
def test_a_template_that_reaches_out_of_its_sandbox_is_refused(template: str) -> None:
    with pytest.raises(CheckpointError, match="chat template cannot be rendered"):
        chatty(template).generate("hello", chat=True)


def test_a_decoder_refuses_more_than_its_room() -> None:
    decoder = Decoder(tiny.lab().model, [[1, 2]], room=1)
    decoder.step(jnp.asarray([3]))
    with pytest.raises(ValueError, match="room"):
        decoder.step(jnp.asarray([3]))


def test_positions_that_a_table_lacks_are_refused_before_anything_runs() -> None:
    model = tiny.lab().swap("LearnedAbsolute(max_length=16)").model
    with pytest.raises(ValueError, match="16 positions"):
        model.logits(tiny.SHORT)
    with pytest.raises(ValueError, match="16 positions"):
        Decoder(model, [[1] * 10], room=7)
