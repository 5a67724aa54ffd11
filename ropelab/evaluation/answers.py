"""Asking a model: whole questions in, one judged answer each out.

    generation    the model continues prompt and prefix greedily, and what it says is judged as the field judges it
    likelihood    the expected answer is put behind them: its NLL, and whether each of its tokens is the likeliest

By likelihood an answer is right if greedy decoding would have begun with exactly it, tokens as the tokenizer makes
them; it costs no decoding, has no opinion on an answer in other words, and its NLL tells how far off a wrong one is.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from ropelab.evaluation.likelihood import batches, judge
from ropelab.evaluation.questions.base import Question, Questions
from ropelab.models import generation
from ropelab.models.module import Model

Way = Literal["generation", "likelihood"]
WAYS: tuple[Way, ...] = ("generation", "likelihood")


class Speaks(Protocol):
    """What asking needs of a tokenizer."""

    @property
    def eos_id(self) -> int | None: ...

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


def beginning(tokenizer: Speaks) -> list[int]:
    """What stands before every prompt: BOS, if the checkpoint's own policy is that prompts begin with it."""
    bos = getattr(tokenizer, "bos_id", None)
    return [bos] if bos is not None and getattr(tokenizer, "add_bos", False) else []


class Answer(NamedTuple):
    """One judged answer.

    Attributes:
        score: from 0 to 1.
        said: what the model said; by likelihood nothing.
        nll: mean over the tokens of the expected answer, in nats; by generation NaN.
        tokens: of the prompt and the prefix, BOS among them.
    """

    score: float
    said: str
    nll: float
    tokens: int


def ask(
    model: Model,
    tokenizer: Speaks,
    family: Questions,
    questions: Sequence[Question],
    way: Way,
    advance: Callable[[int], object] = lambda questions: None,
) -> list[Answer]:
    """Ask all questions, as many together as memory likes.

    Args:
        advance: told how many questions were answered, as they are.
    """
    answer = generated if way == "generation" else likely
    return answer(model, tokenizer, family, questions, advance)


def generated(
    model: Model,
    tokenizer: Speaks,
    family: Questions,
    questions: Sequence[Question],
    advance: Callable[[int], object],
) -> list[Answer]:
    """Greedy continuations, judged as the family says."""
    first = beginning(tokenizer)
    prompts = [[*first, *tokenizer.encode(question.prompt + question.prefix)] for question in questions]
    found: dict[int, Answer] = {}
    for together in batches(model, [len(prompt) for prompt in prompts]):
        read = [prompts[i] for i in together]
        steps = list(generation.tokens(model, read, family.new_tokens, stop=tokenizer.eos_id))
        for row, i in enumerate(together):
            ids = [int(step[row]) for step in steps if step[row] >= 0]
            said = continued(tokenizer, prompts[i], ids)
            said = said.split(family.until)[0] if family.until else said
            found[i] = Answer(family.score(said, questions[i].answers), said, float("nan"), len(prompts[i]))
        advance(len(together))
    return [found[i] for i in range(len(questions))]


def continued(tokenizer: Speaks, prompt: Sequence[int], ids: Sequence[int]) -> str:
    """The text that ids add to a prompt; decoded with its last token: some vocabularies begin texts with a space."""
    before = list(prompt[-1:])
    return tokenizer.decode([*before, *ids])[len(tokenizer.decode(before)) :]


def likely(
    model: Model,
    tokenizer: Speaks,
    family: Questions,
    questions: Sequence[Question],
    advance: Callable[[int], object],
) -> list[Answer]:
    """Expected answers, and how likely they are."""
    del family
    first = beginning(tokenizer)
    prompts = [[*first, *tokenizer.encode(q.prompt + q.prefix)] for q in questions]
    whole = [[*first, *tokenizer.encode(q.prompt + q.prefix + q.expected)] for q in questions]
    starts = [common(prompt, tokens) for prompt, tokens in zip(prompts, whole, strict=True)]
    judged = judge(model, whole, starts, advance)
    return [
        Answer(float(one.greedy), "", one.nll / one.tokens, len(prompt))
        for one, prompt in zip(judged, prompts, strict=True)
    ]


def common(prompt: Sequence[int], tokens: Sequence[int]) -> int:
    """How many tokens a text begins with that are also its prompt's; a tokenizer may join what stands at the seam."""
    same = next((n for n, (a, b) in enumerate(zip(prompt, tokens, strict=False)) if a != b), len(prompt))
    return max(1, min(same, len(tokens) - 1))
