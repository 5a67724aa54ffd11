"""Continuing prompts of different lengths, a token for each row at a time."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.models import compiled, decoding
from ropelab.models.decoding import Memory
from ropelab.models.finite import check_finite
from ropelab.models.module import Model
from ropelab.models.sampling import check_sampling, sample
from ropelab.models.stack import empty_cache

SLOTS = 64  # cache sizes are multiples of this, so that few of them are ever compiled
CHUNK = 2048  # tokens of a prompt that are read at once


class Decoder:
    """A model with a memory: prompts are read once, then each step costs one token.

    Args:
        prompts: token ids of each row, of any lengths.
        room: how many tokens may be added to each row.

    Attributes:
        logits_BV: of each row's next token.
    """

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], room: int) -> None:
        if not prompts or any(len(prompt) == 0 for prompt in prompts):
            raise ValueError("a prompt has no tokens; give at least one")
        model.check_positions(max(map(len, prompts)) + room)
        self.model, self.params = model, model.params
        self.layers = decoding.unstacked(model.wiring, self.params)
        self.left = room
        lengths = np.asarray([len(prompt) for prompt in prompts])
        self.pos_B = jnp.asarray(lengths, jnp.int32)
        self.logits_BV, self.memory = read(model, prompts, lengths, room)

    def step(self, tokens_B: Array) -> None:
        """Take the next token of each row."""
        if self.left == 0:
            raise ValueError("the room asked for is taken; make a Decoder with more of it")
        self.left -= 1
        tokens_B1 = jnp.asarray(tokens_B, jnp.int32)[:, None]
        logits, self.memory = compiled.step(
            self.model.wiring, self.params, self.layers, tokens_B1, self.pos_B[:, None], self.memory
        )
        self.logits_BV, self.pos_B = logits[:, 0], self.pos_B + 1


def read(model: Model, prompts: Sequence[Sequence[int]], lengths: np.ndarray, room: int) -> tuple[Array, Memory]:
    """`(logits of each row's last token, memory)` of prompts, read a chunk at a time.

    Shorter rows are filled up on the right with tokens of a document of their own, which nothing ever sees.
    """
    longest = int(lengths.max())
    chunk = min(CHUNK, -(-longest // SLOTS) * SLOTS)
    padded = -(-longest // chunk) * chunk
    slots = -(-max(padded, longest + room) // SLOTS) * SLOTS
    ids = np.zeros((len(prompts), padded), np.int32)
    for row, prompt in zip(ids, prompts, strict=True):
        row[: len(prompt)] = np.asarray(model.checked([list(prompt)]))[0]
    segments = np.where(np.arange(padded) < lengths[:, None], 0, -1).astype(np.int32)
    cache = empty_cache(model.wiring, len(prompts), slots, model.params["embedding"].dtype)
    # a length that nothing looks at had better be one of few: each is a program of its own
    length = longest if model.wiring.encoding.depends_on_length else padded
    last = jnp.zeros((len(prompts), model.config.vocabulary), jnp.float32)
    for start in range(0, padded, chunk):
        here = slice(start, start + chunk)
        found, cache = compiled.read_part(
            model.wiring, model.params, ids[:, here], segments[:, here], lengths - 1 - start, cache, length=length
        )
        ends_here = (lengths - 1) // chunk == start // chunk
        last = jnp.where(ends_here[:, None], found, last)
    cache = cache._replace(filled=jnp.asarray(longest, jnp.int32))  # the filling behind the longest row is written over
    return last, compiled.memory_of(model.wiring, model.params, cache)


def tokens(
    model: Model,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    stop: int | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> Iterator[np.ndarray]:
    """The next token of each row, i32[B], step by step, until all rows have reached `stop`; -1 after a row's end.

    Raises:
        NonFiniteError: if a logit is not finite; see `ropelab.allow_nonfinite`.
        ValueError: for no prompt, max_new_tokens < 1 or beyond 32 bits, a temperature or top_p out of range, or a seed
            that is not of 32 bits, which is what a key holds.
    """
    if not 1 <= max_new_tokens < 2**31:
        raise ValueError(f"max_new_tokens={max_new_tokens} must be at least 1, and positions have 32 bits")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed} must lie between 0 and {2**32 - 1}")
    check_sampling(temperature, top_p)
    decoder, key = Decoder(model, prompts, max_new_tokens), jax.random.key(seed)
    done = np.zeros(len(prompts), bool)
    for number in range(max_new_tokens):
        check_finite(model, decoder.logits_BV, [prompts[0]], "logits")
        chosen = sample(decoder.logits_BV, jax.random.fold_in(key, number), temperature=temperature, top_p=top_p)
        found = np.asarray(chosen)
        done |= found == (-1 if stop is None else stop)
        if done.all():
            return
        yield np.where(done, -1, found)
        if number + 1 < max_new_tokens:
            decoder.step(chosen)
