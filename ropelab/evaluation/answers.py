"""Score the answers of a model: continuations by their likelihood, and questions by likelihood or generation.

    generation    the model continues prompt and prefix greedily, and the family of questions scores what it said
    likelihood    the expected answer is appended: its NLL, and whether each of its tokens is the most likely one

By likelihood an answer is right if greedy decoding would begin with exactly it, tokens as the tokenizer makes them.
This costs no decoding and accepts no other wording; the NLL tells how far off a wrong answer is.

Texts are batched in rows of the same bucket of 32, 48, 64, 96, 128, ... tokens, so that few shapes are compiled; the
rest of a row is a separate document that no token sees. A length-dependent encoding gets the length of the text, so
only texts of one length share a batch. Logits are computed for the continuation only.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np

from ropelab.evaluation.questions.base import Question, Questions
from ropelab.models import compiled, generation
from ropelab.models.finite import check_finite
from ropelab.models.module import Model

TOKENS_PER_BATCH = 8192  # tokens of a batch; a longer text has its own
SMALLEST = 32


class ContinuationScore(NamedTuple):
    """The score of a continuation.

    Attributes:
        nll: summed over its tokens, in nats.
        greedy: whether each of its tokens is the most likely one, so that greedy decoding would say it.
        tokens: how many were scored.
    """

    nll: float
    greedy: bool
    tokens: int


def score_continuations(
    model: Model,
    texts: Sequence[Sequence[int]],
    starts: Sequence[int],
    advance: Callable[[int], object] = lambda texts: None,
) -> list[ContinuationScore]:
    """Score each text from token `start` on, given the tokens before; return them in the order of the texts.

    Args:
        starts: 1 at least, and less than the text has tokens.
        advance: called with numbers of scored texts.

    Raises:
        ValueError: for a start that leaves nothing to judge, or nothing to judge it from.
    """
    for text, start in zip(texts, starts, strict=True):
        if not 1 <= start < len(text):
            raise ValueError(f"start={start} of a text of {len(text)} tokens; it must lie between 1 and the last token")
    found: dict[int, ContinuationScore] = {}
    for together in batch_texts(model, [len(text) for text in texts]):
        found |= dict(zip(together, score_batch(model, together, texts, starts), strict=True))
        advance(len(together))
    return [found[i] for i in range(len(texts))]


def batch_texts(model: Model, lengths: Sequence[int]) -> list[list[int]]:
    """Group texts into batches of 2^k rows, so that few shapes are compiled."""
    alike = model.wiring.encoding.depends_on_length
    by_size = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))  # the longest first: no surprise at the end
    found = []
    for _, group in itertools.groupby(by_size, key=lambda i: lengths[i] if alike else bucket_size(lengths[i])):
        waiting = list(group)
        most = floor_power_of_two(max(1, TOKENS_PER_BATCH // bucket_size(lengths[waiting[0]])))
        while waiting:
            rows = min(most, floor_power_of_two(len(waiting)))
            found.append(waiting[:rows])
            waiting = waiting[rows:]
    return found


def score_batch(
    model: Model, together: Sequence[int], texts: Sequence[Sequence[int]], starts: Sequence[int]
) -> list[ContinuationScore]:
    lengths = np.asarray([len(texts[i]) for i in together])
    model.check_positions(int(lengths.max()))
    T = bucket_size(int(lengths.max()))
    limit = model.wiring.encoding.position_limit
    T = T if limit is None else min(T, max(limit, int(lengths.max())))
    tokens_BT = np.zeros((len(together), T), np.int32)
    for row, i in zip(tokens_BT, together, strict=True):
        row[: len(texts[i])] = np.asarray(model.checked([list(texts[i])]))[0]
    segments_BT = np.where(np.arange(T) < lengths[:, None], 0, -1).astype(np.int32)
    first_B = np.asarray([starts[i] for i in together], np.int32)
    counts = lengths - first_B
    count = (
        2 * floor_power_of_two(int(counts.max()))
        if floor_power_of_two(int(counts.max())) < counts.max()
        else int(counts.max())
    )
    length = jnp.asarray(lengths.max(), jnp.int32) if model.wiring.encoding.depends_on_length else T
    nll_BC, likeliest_BC = compiled.judged(
        model.wiring, count, model.params, tokens_BT, segments_BT, first_B, length
    )  # fmt: skip
    nll_BC, likeliest_BC = np.asarray(nll_BC, np.float64), np.asarray(likeliest_BC)
    check_finite(model, np.where(np.arange(count) < counts[:, None], nll_BC, 0), tokens_BT, "losses")
    return [
        ContinuationScore(float(nll_BC[row, :n].sum()), bool(likeliest_BC[row, :n].all()), int(n))
        for row, n in enumerate(counts)
    ]


def bucket_size(tokens: int) -> int:
    """Return the smallest of 32, 48, 64, 96, ... that is not below."""
    size = SMALLEST
    while size < tokens:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def floor_power_of_two(count: int) -> int:
    """Return the largest power of two that is not above."""
    return 1 << (count.bit_length() - 1)


Way = Literal["generation", "likelihood"]
WAYS: tuple[Way, ...] = ("generation", "likelihood")


class TokenizerLike(Protocol):
    """The methods that asking needs of a tokenizer."""

    @property
    def eos_id(self) -> int | None: ...

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


def prompt_start(tokenizer: TokenizerLike) -> list[int]:
    """Return the start of every prompt: BOS if that is the checkpoint's policy, else nothing."""
    bos = getattr(tokenizer, "bos_id", None)
    return [bos] if bos is not None and getattr(tokenizer, "add_bos", False) else []


class Answer(NamedTuple):
    """One scored answer.

    Attributes:
        score: from 0 to 1.
        said: what the model said; empty by likelihood.
        nll: mean over the tokens of the expected answer, in nats; by generation NaN.
        tokens: of the prompt and the prefix, BOS among them.
    """

    score: float
    said: str
    nll: float
    tokens: int


def ask(
    model: Model,
    tokenizer: TokenizerLike,
    family: Questions,
    questions: Sequence[Question],
    way: Way,
    advance: Callable[[int], object] = lambda questions: None,
) -> list[Answer]:
    """Ask all questions, in batches that fit the memory.

    Args:
        advance: called with numbers of answered questions.
    """
    answer = answer_by_generation if way == "generation" else answer_by_likelihood
    return answer(model, tokenizer, family, questions, advance)


def answer_by_generation(
    model: Model,
    tokenizer: TokenizerLike,
    family: Questions,
    questions: Sequence[Question],
    advance: Callable[[int], object],
) -> list[Answer]:
    """Answer by greedy continuations, scored by the family of questions."""
    first = prompt_start(tokenizer)
    prompts = [[*first, *tokenizer.encode(question.prompt + question.prefix)] for question in questions]
    found: dict[int, Answer] = {}
    for together in batch_texts(model, [len(prompt) for prompt in prompts]):
        read = [prompts[i] for i in together]
        steps = list(generation.tokens(model, read, family.new_tokens, stop=tokenizer.eos_id))
        for row, i in enumerate(together):
            ids = [int(step[row]) for step in steps if step[row] >= 0]
            said = decode_continuation(tokenizer, prompts[i], ids)
            said = said.split(family.until)[0] if family.until else said
            found[i] = Answer(family.score(said, questions[i].answers), said, float("nan"), len(prompts[i]))
        advance(len(together))
    return [found[i] for i in range(len(questions))]


def decode_continuation(tokenizer: TokenizerLike, prompt: Sequence[int], ids: Sequence[int]) -> str:
    """Decode the text that ids add to a prompt, with its last token: some vocabularies begin texts with a space."""
    before = list(prompt[-1:])
    return tokenizer.decode([*before, *ids])[len(tokenizer.decode(before)) :]


def answer_by_likelihood(
    model: Model,
    tokenizer: TokenizerLike,
    family: Questions,
    questions: Sequence[Question],
    advance: Callable[[int], object],
) -> list[Answer]:
    """Score the expected answers by their likelihood."""
    del family
    first = prompt_start(tokenizer)
    prompts = [[*first, *tokenizer.encode(q.prompt + q.prefix)] for q in questions]
    whole = [[*first, *tokenizer.encode(q.prompt + q.prefix + q.expected)] for q in questions]
    starts = [common_prefix_length(prompt, tokens) for prompt, tokens in zip(prompts, whole, strict=True)]
    scored = score_continuations(model, whole, starts, advance)
    return [
        Answer(float(one.greedy), "", one.nll / one.tokens, len(prompt))
        for one, prompt in zip(scored, prompts, strict=True)
    ]


def common_prefix_length(prompt: Sequence[int], tokens: Sequence[int]) -> int:
    """Return how many first tokens a text shares with its prompt; a tokenizer may merge across the seam."""
    same = next((n for n, (a, b) in enumerate(zip(prompt, tokens, strict=False)) if a != b), len(prompt))
    return max(1, min(same, len(tokens) - 1))
