"""Evaluations of the likelihood of a text: perplexity in windows, and LongPPL."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ropelab.evaluation.evals.base import Case, EvalContext, Evaluation, Measurement
from ropelab.evaluation.intervals import sample_deviation
from ropelab.evaluation.perplexity import long_perplexity, score_windows
from ropelab.spec import at_least, require, spec


@spec
class TextEval(Evaluation):
    """An evaluation of texts: the beginnings of equal pieces of the text, one piece per trial.

    Attributes:
        trials: how many.
    """

    trials: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "trials")

    def cases(self, lengths: Sequence[int]) -> list[Case]:
        return [Case(length, None, self.trials) for length in lengths]

    def check(self, context: EvalContext, case: Case) -> None:
        context.model.check_positions(case.length)
        self.texts(context, case.length)

    def texts(self, context: EvalContext, length: int) -> np.ndarray:
        """i32[trials, length], evenly spread over the text, the first at its beginning."""
        there = context.text_T.size
        require(
            there >= length * self.trials,
            self,
            f"the text has {there} tokens, and {self.trials} pieces of {length} are wanted; give a longer text",
        )
        starts = [trial * (there // self.trials) for trial in range(self.trials)]
        return np.stack([context.text_T[start : start + length] for start in starts])


@spec
class Perplexity(TextEval):
    """NLL of a text in windows of the length.

    Attributes:
        tokens: of the text, 0 for one window.
        stride: of the windows; 0 for the length, windows that do not overlap.
        last: also of the last so many tokens of every window.
        bos: whether BOS stands before every window, as one of its tokens.
        trials: texts.
    """

    tokens: int = 0
    stride: int = 0
    last: int = 0
    bos: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, self, "tokens", "stride", "last")

    def protocol(self) -> str:
        moves = f"stride {self.stride}" if self.stride else "no overlap"
        bos = "BOS before each" if self.bos else "BOS none added"
        tokens = f"{self.tokens} tokens, or one window if that is longer" if self.tokens else "one window"
        return (
            f"windows of the length, {moves}, {bos}; the first {tokens} of each of {self.trials} "
            f"text{'' if self.trials == 1 else 's'}, evenly spread over the whole; value is nats per token, "
            "perplexity its exponential"
        )

    def check(self, context: EvalContext, case: Case) -> None:
        context.model.check_positions(case.length)
        room = case.length - self.bos
        require(self.stride <= room, self, f"stride={self.stride} exceeds the length of {room}")
        wanted = not self.bos or getattr(context.tokenizer, "bos_id", None) is not None
        require(wanted, self, "bos=True, and this model's tokenizer has no BOS token")
        require(self.last < room, self, f"last={self.last} must be less than the length of {room}")
        self.texts(context, max(self.tokens, case.length))

    def measure(self, context: EvalContext, case: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        bos = getattr(context.tokenizer, "bos_id", None) if self.bos else None
        windows = {"length": case.length, "stride": self.stride or case.length - self.bos, "bos": bos}
        slid = []
        for text_T in self.texts(context, max(self.tokens, case.length)):
            slid.append(score_windows(context.model, text_T, **windows))
            advance(1)
        scored = np.concatenate([one.nll[np.isfinite(one.nll)] for one in slid]).astype(np.float64)
        yield Measurement("nll", float(scored.mean()), scored.size)
        means = np.concatenate([one.window_means for one in slid])
        yield Measurement("nll_by_windows", float(means.mean()), means.size, sample_deviation(means))
        if self.last:
            ends = np.concatenate([one.nll[w.end - self.last : w.end] for one in slid for w in one.windows])
            ends = ends[np.isfinite(ends)].astype(np.float64)
            positions = {"first": case.length - self.last, "last": case.length}
            yield Measurement("nll_tail", float(ends.mean()), ends.size, **positions)


@spec
class LongPPL(TextEval):
    """NLL of the tokens for which a long context matters, found by the measured model itself.

    Attributes:
        short, step: tokens of the short context, and how many tokens share one.
    """

    short: int = 4096
    step: int = 1024

    def protocol(self) -> str:
        return (
            f"key tokens by the measured model itself (short {self.short}, step {self.step}, alpha 2, beta -2), over "
            "the whole length; value is nats per key token, LongPPL its exponential"
        )

    def check(self, context: EvalContext, case: Case) -> None:
        super().check(context, case)
        require(case.length > self.short, self, f"a length of {case.length} has no token beyond short={self.short}")

    def measure(self, context: EvalContext, case: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        nll, keys, candidates = 0.0, 0, 0
        for text_T in self.texts(context, case.length):
            found = long_perplexity(context.model, text_T, short=self.short, step=self.step)
            nll, keys, candidates = nll + found.key.nll, keys + found.key.tokens, candidates + found.candidates
            advance(1)
        yield Measurement("nll", nll / keys if keys else math.nan, keys)
        yield Measurement("key_tokens", keys / candidates, candidates)
