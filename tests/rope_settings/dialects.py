"""Each dialect as a pair of functions over one kind of value, so that a property can be asked of all."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ropelab import rope_settings
from ropelab.encodings import Encoding


class Pair(NamedTuple):
    """`to(encoding, head_dim)` and `back(value, head_dim)`."""

    to: Callable[[Any, int], Any]
    back: Callable[[Any, int], Encoding]


PAIRS = {
    "hf": Pair(lambda e, d: rope_settings.to_hf(e, head_dim=d), lambda k, d: rope_settings.from_hf(k)),
    "hf 4": Pair(lambda e, d: rope_settings.to_hf(e, head_dim=d, version=4), lambda k, d: rope_settings.from_hf(k)),
    "llama.cpp": Pair(
        lambda e, d: rope_settings.to_llama_cpp(e, head_dim=d), lambda k, d: rope_settings.from_llama_cpp(k, head_dim=d)
    ),
    "gguf": Pair(
        lambda e, d: rope_settings.to_gguf(e, head_dim=d), lambda k, d: rope_settings.from_gguf(k, head_dim=d)
    ),
    "exllama": Pair(
        lambda e, d: rope_settings.to_exllama(e, head_dim=d) | {"base": getattr(e, "base", None)},
        lambda k, d: rope_settings.from_exllama(**k, head_dim=d),
    ),
    "maxtext": Pair(lambda e, d: rope_settings.to_maxtext(e, head_dim=d), lambda k, d: rope_settings.from_maxtext(k)),
}
NAMES = {
    "hf": "transformers", "hf 4": "transformers", "llama.cpp": "llama.cpp's options", "gguf": "GGUF",
    "exllama": "ExLlama", "maxtext": "MaxText",
}  # fmt: skip


def same_frequencies(ours: Any, theirs: Any, head_dim: int, rtol: float = 1e-12) -> None:
    """Every kind of layer has the same frequencies and amplitude, below the trained length and far beyond."""
    kinds = list(zip(ours.unique_encodings(), theirs.unique_encodings(), strict=True))
    for one, other in kinds:
        for length in (8, 10**6) if hasattr(one, "frequencies") else ():
            for value, expected in zip(
                one.frequencies(head_dim, length), other.frequencies(head_dim, length), strict=True
            ):
                np.testing.assert_allclose(value, expected, rtol=rtol)
        assert hasattr(one, "frequencies") == hasattr(other, "frequencies")
