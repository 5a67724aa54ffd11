"""LongPPL: the perplexity of the tokens for which a long context matters, and of no others.

    key tokens   { t : short_t - full_t > alpha  and  full_t < -beta },   alpha = 2, beta = -2
    LongPPL      exp(mean of full_t over the key tokens)

full_t is the NLL of token t after the whole text before it, short_t after the last `short` to `short + step` tokens.
The tokens that the definition can find begin at `short`. Source: Fang et al., arXiv 2410.23771, and its code
(PKU-ML/LongPPL, 1decd2a), whose key tokens come from another model; here they come from the evaluator that is given, or
from the measured model itself, which needs no second one and is not the paper's number.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ropelab.evaluation.perplexity import Score, nll_of_document
from ropelab.evaluation.windows import slide
from ropelab.models.module import Model

SHORT, STEP = 4096, 1024
ALPHA, BETA = 2.0, -2.0


class LongPerplexity(NamedTuple):
    """A text's scores.

    Attributes:
        key: of the key tokens; its count is 0 if there are none.
        judged: how many tokens could have been key tokens.
    """

    key: Score
    judged: int

    @property
    def perplexity(self) -> float:
        """exp of the mean; NaN without key tokens."""
        return self.key.perplexity if self.key.tokens else math.nan


def key_tokens(full_T: np.ndarray, short_T: np.ndarray, *, alpha: float = ALPHA, beta: float = BETA) -> np.ndarray:
    """bool[T]: which tokens a long context predicts, and a short one does not; NaN in `short_T` is not judged."""
    with np.errstate(invalid="ignore"):
        return (short_T - full_T > alpha) & (full_T < -beta)


def short_nll(
    model: Model, tokens_T: np.ndarray, *, short: int, step: int, advance: Callable[[int], object]
) -> np.ndarray:
    """float32[T]: each token's NLL after `short` to `short + step - 1` tokens; NaN before token `short`."""
    found = slide(model, tokens_T, length=short + step, stride=step, advance=advance).nll.copy()
    found[:short] = np.nan
    return found


def long_perplexity(
    model: Model,
    tokens_T: np.ndarray,
    *,
    evaluator: Model | None = None,
    short: int = SHORT,
    step: int = STEP,
    alpha: float = ALPHA,
    beta: float = BETA,
    advance: Callable[[int], object] = lambda tokens: None,
) -> LongPerplexity:
    """LongPPL of one text.

    Args:
        evaluator: finds the key tokens; the model itself if not given.
        short, step: tokens of the short context, and how many tokens share one.
        advance: told how many tokens were scored, as they are.

    Raises:
        ValueError: for a text with no token beyond the short context.
    """
    if tokens_T.size <= short:
        raise ValueError(f"the text has {tokens_T.size} tokens; LongPPL judges those beyond the first short={short}")
    first = np.full(1, np.nan, np.float32)
    own = np.concatenate([first, nll_of_document(model, tokens_T, window=None, advance=advance)])
    judge = evaluator or model
    full = own if evaluator is None else np.concatenate(
        [first, nll_of_document(judge, tokens_T, window=None, advance=advance)]
    )  # fmt: skip
    shorter = short_nll(judge, tokens_T, short=short, step=step, advance=advance)
    key = key_tokens(full, shorter, alpha=alpha, beta=beta)
    scored = own[key].astype(np.float64)
    return LongPerplexity(Score(float(scored.sum()), scored.size), tokens_T.size - short)
