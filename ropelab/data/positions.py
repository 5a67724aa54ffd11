"""Samplers of the positions of training windows: consecutive ones, or positions of a longer text.

    Consecutive   0, 1, ..., T - 1
    PerDocument   0, 1, ... from the beginning of each document in the window
    Randomised    T of the numbers 0, ..., length - 1, sampled without replacement, in ascending order
    PoSE          0, ..., c - 1, c + u, ..., T - 1 + u    with c ~ U{1, ..., (T + 1) // 2}, u ~ U{0, ..., length - T}

A model trained on T tokens then sees the distances of `length`. Only positions are sampled; the tokens are consecutive
in the text, as in the authors' code for Randomised. In PoSE the text of both chunks is consecutive too.

Sources: Ruoss et al., arXiv 2305.16843, section 3; Zhu et al., arXiv 2309.10400, section 3.2, with the two chunks of
dwzhu-pku/PoSE, the first of which is at most half the window.
"""

from collections.abc import Callable

import numpy as np

from ropelab import spec as specs
from ropelab.spec import Spec, at_least, require, spec

_Generators = Callable[[int], np.random.Generator]


@spec
class Positions(Spec):
    """Base class of position samplers."""

    def place(self, segments: np.ndarray, generator: _Generators) -> np.ndarray:
        """Return positions i32[B, T], ascending within a document.

        Args:
            segments: i32[B, T], the document of each token.
            generator: returns the random generator of row b.

        Raises:
            ValueError: if the window is longer than the text whose positions are sampled.
        """
        raise NotImplementedError

    def check(self, tokens: int) -> None:
        """Raise `ValueError` if windows of this many tokens have no positions."""


@spec
class Consecutive(Positions):
    """The index of each token in the window."""

    def place(self, segments: np.ndarray, generator: _Generators) -> np.ndarray:
        del generator
        rows, tokens = segments.shape
        return np.tile(np.arange(tokens, dtype=np.int32), (rows, 1))


@spec
class PerDocument(Positions):
    """The index of each token in its document, counted from the first token of it in the window."""

    def place(self, segments: np.ndarray, generator: _Generators) -> np.ndarray:
        del generator
        at = np.tile(np.arange(segments.shape[1], dtype=np.int32), (len(segments), 1))
        begins = np.diff(segments, axis=1, prepend=segments[:, :1] - 1) != 0
        return at - np.maximum.accumulate(np.where(begins, at, 0), axis=1)


@spec
class Sampled(Positions):
    """Base class of samplers that choose T of `length` positions."""

    length: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "length")

    def check(self, tokens: int) -> None:
        require(1 <= tokens <= self.length, self, f"a window of {tokens} tokens does not fit; use 1 to {self.length}")

    def place(self, segments: np.ndarray, generator: _Generators) -> np.ndarray:
        rows, tokens = segments.shape
        self.check(tokens)
        return np.stack([self.sample(generator(b), tokens) for b in range(rows)])

    def sample(self, rng: np.random.Generator, tokens: int) -> np.ndarray:
        """Sample the positions i32[tokens] of one window."""
        raise NotImplementedError


@spec
class Randomised(Sampled):
    """A uniformly random subset of the positions."""

    def sample(self, rng: np.random.Generator, tokens: int) -> np.ndarray:
        return np.sort(rng.choice(self.length, tokens, replace=False, shuffle=False)).astype(np.int32)


@spec
class PoSE(Sampled):
    """Two chunks of consecutive positions with a random gap between them; every distance up to `length` occurs."""

    def sample(self, rng: np.random.Generator, tokens: int) -> np.ndarray:
        first = rng.integers(1, (tokens + 1) // 2, endpoint=True)
        gap = rng.integers(0, self.length - tokens, endpoint=True)
        at = np.arange(tokens, dtype=np.int32)
        return np.where(at < first, at, at + gap).astype(np.int32)


SAMPLERS: dict[str, type[Positions]] = {kind.__name__: kind for kind in (Consecutive, PerDocument, Randomised, PoSE)}


def parse(text: str) -> Positions:
    """Parse the spec of a sampler, such as "PoSE(length=4096)".

    Raises:
        ValueError: for an unknown name or field.
    """
    return specs.parse(text, SAMPLERS, kind="position sampler")
