"""Windows on the recent past, with or without the first tokens of the text.

    SlidingWindow    i - window < j <= i
    Sinks            j < sinks, or i - window < j;  j <= i
    LambdaMask       j < starting, or i - j < local;  j <= i

Sources: `SlidingWindow` is Mistral's, arXiv 2310.06825, section 2 (the query counts as one of the window). `Sinks` is
StreamingLLM, Xiao et al., arXiv 2309.17453, section 3.2: four sinks and a cache of recent tokens. Its code counts the
query among its `recent` tokens when it generates, and beside them when it measures perplexity: window = recent + 1.
`LambdaMask` is LM-Infinite, Han et al., arXiv 2308.16137, section 4: the same counts under that paper's names.

The two papers differ from each other, and from these counts alone, in the *positions* they score with, which are the
encoding's matter: LM-Infinite bounds every distance by its window, which is `ReRoPE(window=local)`; StreamingLLM
numbers tokens within its cache, so that only the sinks come closer.
"""

from jax import Array

from ropelab.attention.formula import Interval, Pattern
from ropelab.spec import at_least, spec


@spec
class SlidingWindow(Interval):
    """i - window < j <= i: the query itself and the window - 1 tokens before it."""

    window: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "window")

    def first(self, q_pos: Array, head: Array, num_heads: int) -> Array:
        del head, num_heads
        return q_pos - self.window + 1


class _Lambda(Pattern):
    """The first tokens of the text and a window on the recent past."""

    @property
    def both(self) -> tuple[int, SlidingWindow]:
        """How many tokens at the beginning everyone sees, and the window."""
        raise NotImplementedError

    def counts(self, q_pos: Array, k_pos: Array, head: Array, num_heads: int) -> Array:
        beginning, recent = self.both
        return recent.counts(q_pos, k_pos, head, num_heads) | ((k_pos < beginning) & (k_pos <= q_pos))

    def reach(self, q_low: Array, q_high: Array, k_low: Array, k_high: Array) -> tuple[Array, Array]:
        beginning, recent = self.both
        near, all_near = recent.reach(q_low, q_high, k_low, k_high)
        all_early = (k_high < beginning) & (k_high <= q_low)
        return near | ((k_low < beginning) & (k_low <= q_high)), all_near | all_early


@spec
class Sinks(_Lambda):
    """The first `sinks` tokens, on which attention rests when nothing else matters, and the last `window`."""

    sinks: int
    window: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "sinks", "window")

    @property
    def both(self) -> tuple[int, SlidingWindow]:
        return self.sinks, SlidingWindow(window=self.window)


@spec
class LambdaMask(_Lambda):
    """The first `starting` tokens and the last `local`, the query itself among them."""

    starting: int
    local: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "starting", "local")

    @property
    def both(self) -> tuple[int, SlidingWindow]:
        return self.starting, SlidingWindow(window=self.local)


EXAMPLES = (SlidingWindow(window=9), Sinks(sinks=2, window=6), LambdaMask(starting=3, local=5))
