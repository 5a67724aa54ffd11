"""How likely a model finds a continuation: texts of any lengths, few shapes compiled, each judged as if it were alone.

Texts go through in batches of rows of the same bucket, 32, 48, 64, 96, 128, ... tokens; what a row does not fill is a
document of its own that nothing sees. An encoding that looks at the length is given that of the text, so only texts of
one length go together. Logits are made where they are asked for, not at 4096 tokens of a prompt.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ropelab.models import compiled
from ropelab.models.finite import check_finite
from ropelab.models.module import Model

TOGETHER = 8192  # tokens of a batch; a longer text goes alone
SMALLEST = 32


class Judged(NamedTuple):
    """A continuation.

    Attributes:
        nll: summed over its tokens, in nats.
        greedy: whether each of its tokens is the likeliest, so that greedy decoding would say it.
        tokens: how many were judged.
    """

    nll: float
    greedy: bool
    tokens: int


def judge(
    model: Model,
    texts: Sequence[Sequence[int]],
    starts: Sequence[int],
    advance: Callable[[int], object] = lambda texts: None,
) -> list[Judged]:
    """Each text from token `start` on, given the tokens before; in the order of the texts.

    Args:
        starts: 1 at least, and less than the text has tokens.
        advance: told how many texts were judged, as they are.

    Raises:
        ValueError: for a start that leaves nothing to judge, or nothing to judge it from.
    """
    for text, start in zip(texts, starts, strict=True):
        if not 1 <= start < len(text):
            raise ValueError(f"start={start} of a text of {len(text)} tokens; it must lie between 1 and the last token")
    found: dict[int, Judged] = {}
    for together in batches(model, [len(text) for text in texts]):
        found |= dict(zip(together, judge_batch(model, together, texts, starts), strict=True))
        advance(len(together))
    return [found[i] for i in range(len(texts))]


def batches(model: Model, lengths: Sequence[int]) -> list[list[int]]:
    """Which texts go together; 2^k of them, so that few shapes are compiled."""
    alike = model.wiring.encoding.depends_on_length
    by_size = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))  # the longest first: no surprise at the end
    found = []
    for _, group in itertools.groupby(by_size, key=lambda i: lengths[i] if alike else bucket(lengths[i])):
        waiting = list(group)
        most = power(max(1, TOGETHER // bucket(lengths[waiting[0]])))
        while waiting:
            rows = min(most, power(len(waiting)))
            found.append(waiting[:rows])
            waiting = waiting[rows:]
    return found


def judge_batch(
    model: Model, together: Sequence[int], texts: Sequence[Sequence[int]], starts: Sequence[int]
) -> list[Judged]:
    lengths = np.asarray([len(texts[i]) for i in together])
    model.check_positions(int(lengths.max()))
    T = bucket(int(lengths.max()))
    limit = model.wiring.encoding.position_limit
    T = T if limit is None else min(T, max(limit, int(lengths.max())))
    tokens_BT = np.zeros((len(together), T), np.int32)
    for row, i in zip(tokens_BT, together, strict=True):
        row[: len(texts[i])] = np.asarray(model.checked([list(texts[i])]))[0]
    segments_BT = np.where(np.arange(T) < lengths[:, None], 0, -1).astype(np.int32)
    first_B = np.asarray([starts[i] for i in together], np.int32)
    counts = lengths - first_B
    count = 2 * power(int(counts.max())) if power(int(counts.max())) < counts.max() else int(counts.max())
    length = jnp.asarray(lengths.max(), jnp.int32) if model.wiring.encoding.depends_on_length else T
    nll_BC, likeliest_BC = compiled.judged(
        model.wiring, count, model.params, tokens_BT, segments_BT, first_B, length
    )  # fmt: skip
    nll_BC, likeliest_BC = np.asarray(nll_BC, np.float64), np.asarray(likeliest_BC)
    check_finite(model, np.where(np.arange(count) < counts[:, None], nll_BC, 0), tokens_BT, "losses")
    return [
        Judged(float(nll_BC[row, :n].sum()), bool(likeliest_BC[row, :n].all()), int(n)) for row, n in enumerate(counts)
    ]


def bucket(tokens: int) -> int:
    """The smallest of 32, 48, 64, 96, ... that is not below."""
    size = SMALLEST
    while size < tokens:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def power(count: int) -> int:
    """The largest power of two that is not above."""
    return 1 << (count.bit_length() - 1)
