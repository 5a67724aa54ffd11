"""Evaluations of attention while a text is read: of the whole model, and of every layer and head."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ropelab.evaluation.attention_taps import Entropy, ScoreByDistance, SinkMass
from ropelab.evaluation.capture import capture
from ropelab.evaluation.evals.base import Case, EvalContext, Measurement
from ropelab.evaluation.evals.perplexity import TextEval
from ropelab.evaluation.head_scores import head_scores
from ropelab.evaluation.intervals import jackknife_deviation, sample_deviation
from ropelab.evaluation.resolution import attention_resolution
from ropelab.spec import require, spec


@spec
class Resolution(TextEval):
    """Attention resolution, measured: of the mean score over layers and heads, and of every head.

    Attributes:
        sinks: tokens at the beginning whose keys do not count.
    """

    sinks: int = 4

    def protocol(self) -> str:
        return (
            f"scaled scores before the softmax of all causal pairs but those with a key among the first {self.sinks} "
            "tokens; R of their mean over texts, layers and heads, and of each head's mean over texts; per_head: the "
            "mean of the heads' R; errors by the jackknife over texts"
        )

    def check(self, context: EvalContext, case: Case) -> None:
        super().check(context, case)
        require(self.sinks <= case.length - 2, self, f"sinks={self.sinks} leave no two distances of {case.length}")

    def measure(self, context: EvalContext, case: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        texts = self.texts(context, case.length)
        s_LBNn = capture(context.model, texts, {"s": ScoreByDistance(sinks=self.sinks)})["s"]
        advance(self.trials)
        yield measure_resolution(s_LBNn.mean(axis=(0, 2)))
        each = [
            measure_resolution(s_BNn[:, head], layer=layer, head=head)
            for layer, s_BNn in enumerate(s_LBNn)
            for head in range(s_BNn.shape[1])
        ]
        yield Measurement("per_head", float(np.mean([one.value for one in each])), self.trials)
        yield from each


def measure_resolution(s_Bn: np.ndarray, *, layer: int | None = None, head: int | None = None) -> Measurement:
    """Return R of the mean of several texts' scores."""

    def resolution_of(texts: np.ndarray) -> float:
        return attention_resolution(s_Bn[texts].mean(axis=0))

    value, deviation = resolution_of(np.arange(len(s_Bn))), jackknife_deviation(resolution_of, len(s_Bn))
    return Measurement("resolution", value, len(s_Bn), deviation, layer=layer, head=head)


@spec
class Attention(TextEval):
    """The share of attention on the first tokens, and its entropy.

    Attributes:
        sinks: the first tokens.
    """

    sinks: int = 4

    def protocol(self) -> str:
        return (
            f"mean over texts, layers, heads and queries: sink, the weight of the first {self.sinks} tokens; entropy, "
            "in nats; spread, entropy over that of equal weights on all tokens seen so far"
        )

    def measure(self, context: EvalContext, case: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        texts = self.texts(context, case.length)
        found = capture(context.model, texts, {"sink": SinkMass(sinks=self.sinks), "entropy": Entropy()})
        advance(self.trials)
        yield from measure_heads("sink", found["sink"])
        yield from measure_heads("entropy", found["entropy"].mean(axis=-1))
        most = np.log(np.arange(2, case.length + 1))
        yield from measure_heads("spread", (found["entropy"][..., 1:] / most).mean(axis=-1))


@spec
class Heads(TextEval):
    """Semantic stability and positional sensitivity over a window of the length, of the model and of every head."""

    def protocol(self) -> str:
        return (
            "16 sampled queries per text and 16 keys before each, moved over all positions of the length; stability by "
            "the normal approximation of arXiv 2609.39929, counted by distances"
        )

    def measure(self, context: EvalContext, case: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        texts = self.texts(context, case.length)
        found = head_scores(context.model, texts, window=case.length, seed=context.seed)
        advance(self.trials)
        for name, part_LN in zip(("stability", "stability_counted", "sensitivity"), found, strict=True):
            yield Measurement(name, float(np.nanmean(part_LN)), self.trials)
            for layer, head in np.ndindex(*part_LN.shape):
                value = float(part_LN[layer, head])
                yield Measurement(name, value, self.trials, layer=layer, head=head)


def measure_heads(metric: str, x_LBN: np.ndarray) -> Iterator[Measurement]:
    """Yield the mean over layers, texts and heads, then that of every head."""
    yield measure_mean(metric, x_LBN.mean(axis=(0, 2)))
    for layer, x_BN in enumerate(x_LBN):
        for head in range(x_BN.shape[1]):
            yield measure_mean(metric, x_BN[:, head], layer=layer, head=head)


def measure_mean(metric: str, x_B: np.ndarray, *, layer: int | None = None, head: int | None = None) -> Measurement:
    """Return the mean over texts."""
    return Measurement(metric, float(x_B.mean()), x_B.size, sample_deviation(x_B), layer=layer, head=head)
