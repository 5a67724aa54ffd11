"""What a made-up task is: examples that are drawn, in which some tokens follow from those before them.

Example i of a seed and window length is always the same, whoever asks. An example is one window; what it does not fill
is padding. The loss asks only for tokens that can be known.
"""

from typing import NamedTuple

import numpy as np

from ropelab.data.tokens import Coder
from ropelab.spec import Spec, require, spec

END, SIGN, FIRST = 0, 1, 2  # the end, the one sign that a task has, and its first symbol


class Example(NamedTuple):
    """One window.

    Attributes:
        tokens: i32[N], N at most the window.
        known: bool[N], the tokens that follow from those before them.
    """

    tokens: np.ndarray
    known: np.ndarray


@spec
class Task(Spec):
    """A family of examples."""

    @property
    def vocabulary(self) -> int:
        """How many token ids there are."""
        raise NotImplementedError

    def shortest(self, text: Coder) -> int:
        """The tokens of the shortest window that holds an example."""
        raise NotImplementedError

    def example(self, rng: np.random.Generator, window: int, text: Coder) -> Example:
        """An example of at most `window` tokens, which is at least `shortest`.

        Args:
            text: how words become tokens, for tasks that have words.
        """
        raise NotImplementedError

    def check(self, window: int, text: Coder) -> None:
        """Raise `ValueError` if no example fits into windows of so many tokens."""
        least = self.shortest(text)
        require(window >= least, self, f"needs a window of {least} tokens, length={least - 1}; here it is {window}")
