"""How a number was made: every table, figure and record carries this line."""

import json
import platform
from typing import NamedTuple

import jax

import ropelab
from ropelab import miscompilation, precision


class Protocol(NamedTuple):
    """Everything but the arm that a perplexity depends on.

    Attributes:
        model, weights: the checkpoint by name, and the fingerprint of its parameters.
        text, text_sha256: where the text came from, and the hash of its UTF-8 bytes.
        lengths: tokens per window.
        windows: documents measured, the first ones of the token stream, not overlapping.
        edges: positions at which bands begin and end.
        last: size of the band at the end of each length.
        part: tokens scored at a time, the earlier ones being read from a cache.
    """

    model: str
    weights: str
    text: str
    text_sha256: str
    lengths: tuple[int, ...]
    windows: int
    edges: tuple[int, ...]
    last: int
    dtype: str
    kernel: str
    part: int
    bos: str = "none added"

    @property
    def stride(self) -> int:
        """Tokens from the beginning of one document to that of the next."""
        return max(self.lengths)

    def line(self) -> str:
        """The protocol in one line."""
        lengths = ", ".join(map(str, self.lengths))
        scored = ", ".join(str((length - 1) * self.windows) for length in self.lengths)
        return (
            f"model {self.model} (weights {self.weights}); text {self.text} (sha256 {self.text_sha256[:12]}); "
            f"{self.windows} window(s) of {lengths} tokens from the beginning, no overlap, BOS {self.bos}; "
            f"{scored} tokens scored; {self.dtype}, kernel {self.kernel}; {versions()}"
        )

    def settings(self) -> str:
        """What one measurement of one document depends on, as canonical JSON."""
        shared = ("weights", "text", "text_sha256", "dtype", "kernel", "part", "bos")
        facts = {name: getattr(self, name) for name in shared} | {"stride": self.stride, "versions": versions()}
        return json.dumps(facts, sort_keys=True)


def versions() -> str:
    """What computed a number: versions, the precision of products, and the flag that guards them on a CPU."""
    flag = miscompilation.flag_in_effect()
    parts = [f"ropelab {ropelab.__version__}", f"jax {jax.__version__}", f"Python {platform.python_version()}"]
    parts += [precision.describe(), *([f"XLA_FLAGS {flag}"] if flag else [])]
    return ", ".join(parts)
