"""Evaluations of what happens inside attention while a text is read: of the model, and of every layer and head.

A head's own number is a record as any other, its evaluation's name ending in the place: "resolution.layer_03.head_11".
"""

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

    def check(self, bench: EvalContext, unit: Case) -> None:
        super().check(bench, unit)
        require(self.sinks <= unit.length - 2, self, f"sinks={self.sinks} leave no two distances of {unit.length}")

    def measure(self, bench: EvalContext, unit: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        texts = self.texts(bench, unit.length)
        s_LBNn = capture(bench.model, texts, {"s": ScoreByDistance(sinks=self.sinks)})["s"]
        advance(self.trials)
        yield measure_resolution("", s_LBNn.mean(axis=(0, 2)))
        each = [
            measure_resolution(place(layer, head), s_BNn[:, head])
            for layer, s_BNn in enumerate(s_LBNn)
            for head in range(s_BNn.shape[1])
        ]
        yield Measurement("per_head", float(np.mean([one.value for one in each])), self.trials)
        yield from each


def measure_resolution(name: str, s_Bn: np.ndarray) -> Measurement:
    """R of the mean of several texts' scores."""

    def of(texts: np.ndarray) -> float:
        return attention_resolution(s_Bn[texts].mean(axis=0))

    return Measurement(name, of(np.arange(len(s_Bn))), len(s_Bn), jackknife_deviation(of, len(s_Bn)))


@spec
class Attention(TextEval):
    """What attention does with the text: the share of the first tokens, and how spread it is.

    Attributes:
        sinks: the first tokens.
    """

    sinks: int = 4

    def protocol(self) -> str:
        return (
            f"mean over texts, layers, heads and queries: sink, the weight of the first {self.sinks} tokens; entropy, "
            "in nats; spread, entropy over that of equal weights on all tokens seen so far"
        )

    def measure(self, bench: EvalContext, unit: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        texts = self.texts(bench, unit.length)
        found = capture(bench.model, texts, {"sink": SinkMass(sinks=self.sinks), "entropy": Entropy()})
        advance(self.trials)
        yield from measure_heads("sink", found["sink"])
        yield from measure_heads("entropy", found["entropy"].mean(axis=-1))
        most = np.log(np.arange(2, unit.length + 1))
        yield from measure_heads("spread", (found["entropy"][..., 1:] / most).mean(axis=-1))


@spec
class Heads(TextEval):
    """Semantic stability and positional sensitivity over a window of the length, of the model and of every head."""

    def protocol(self) -> str:
        return (
            "16 queries a text and 16 keys before each, drawn; moved over all positions of the length; stability by "
            "the normal approximation of arXiv 2609.39929, counted by distances"
        )

    def measure(self, bench: EvalContext, unit: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        texts = self.texts(bench, unit.length)
        found = head_scores(bench.model, texts, window=unit.length, seed=bench.seed)
        advance(self.trials)
        for name, part_LN in zip(("stability", "stability_counted", "sensitivity"), found, strict=True):
            yield Measurement(name, float(np.nanmean(part_LN)), self.trials)
            for layer, head in np.ndindex(*part_LN.shape):
                yield Measurement(f"{name}.{place(layer, head)}", float(part_LN[layer, head]), self.trials)


def measure_heads(name: str, x_LBN: np.ndarray) -> Iterator[Measurement]:
    """The mean over layers, texts and heads, then that of every head."""
    yield measure_mean(name, x_LBN.mean(axis=(0, 2)))
    for layer, x_BN in enumerate(x_LBN):
        for head in range(x_BN.shape[1]):
            yield measure_mean(f"{name}.{place(layer, head)}", x_BN[:, head])


def measure_mean(name: str, x_B: np.ndarray) -> Measurement:
    return Measurement(name, float(x_B.mean()), x_B.size, sample_deviation(x_B))


def place(layer: int, head: int) -> str:
    """How the number of one head is named."""
    return f"layer_{layer:02}.head_{head:02}"
