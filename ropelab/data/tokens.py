"""Text → token ids that end with the end of the text."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

END_OF_BYTES = 0
BYTE_VOCABULARY = 256


class Tokenizer(Protocol):
    """What data needs of a model's tokenizer: ids, and the one that ends a text."""

    @property
    def eos_id(self) -> int | None: ...

    def encode(self, text: str) -> list[int]: ...


class Coder(NamedTuple):
    """How texts become tokens.

    Attributes:
        ids: the tokens of some UTF-8.
        end: the token that ends a text.
    """

    ids: Callable[[bytes], Sequence[int] | np.ndarray]
    end: int

    def document(self, text: bytes) -> np.ndarray:
        """The ids i32[N] of a text in UTF-8, the last of them its end."""
        found = self.ids(text)
        ids = np.empty(len(found) + 1, np.int32)
        ids[:-1] = found
        ids[-1] = self.end
        return ids


def coder(name: str, tokenizer: Tokenizer | None) -> Coder:
    """What the settings' `tokenizer` means: "bytes", or "model" for the one that is given.

    Raises:
        ValueError: if the model's is wanted and there is none, or it has no token that ends a text.
    """
    if name == "bytes":
        return Coder(byte_ids, END_OF_BYTES)
    if tokenizer is None:
        raise ValueError('tokenizer="model", but this model has none; give tokenizer="bytes"')
    end = tokenizer.eos_id
    if end is None:
        raise ValueError('the model\'s tokenizer has no token that ends a text; give tokenizer="bytes"')
    return Coder(lambda text: tokenizer.encode(text.decode("utf-8", errors="replace")), end)


def byte_ids(text: bytes) -> np.ndarray:
    return np.frombuffer(text, np.uint8)
