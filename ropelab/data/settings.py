"""Data of a training run as one frozen value, and the tokenization of its documents.

`DataSettings(source="local_text:/books", packing="first_fit", positions=PoSE(length=8192))`
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np

from ropelab import spec as specs
from ropelab.data.positions import SAMPLERS, Consecutive, Positions
from ropelab.spec import Spec, at_least, spec

FIRST_FIT = "first_fit"


@spec
class DataSettings(Spec):
    """Which documents to train and evaluate on, and how they become windows.

    Attributes:
        source: "python_stdlib", "python_docs", "local_text:/a/file/or/folder", the name of a text dataset of
            TensorFlow Datasets ("pg19", "wikipedia/20230601.en"), or a task such as "Copy(symbols=16)".
        split: the training split in TFDS's notation: "train", "train[:10%]".
        test_split: the evaluation split.
        tokenizer: "bytes" (one token per byte of UTF-8; byte 0 ends a text) or "model" (the model's tokenizer).
        packing: "concatenate" fills each window and cuts documents where it ends; "first_fit" keeps documents that fit
            into a window in one piece, and pads.
        positions: the positions of the tokens of a window.
        separate_documents: whether documents in a window are independent: the first token of each has no loss, and
            attention may use `segments`.
        lanes: the number of independent streams that make up a batch, each with its share of the documents; 0 uses one
            per row, limited by the number of documents. A process reads only the lanes of its rows. With fewer
            lanes than rows, some rows of a batch are consecutive parts of a document, which hurts training: with one
            lane for 32 rows of 64 bytes a byte model reaches a perplexity of 7.4, with 32 lanes 4.4.
        data_dir: the folder of prepared datasets; TFDS's default, ~/tensorflow_datasets, if empty.
        feature: the text feature of a dataset that has several; chosen by name if empty.
    """

    source: str
    split: str = "train"
    test_split: str = "test"
    tokenizer: Literal["bytes", "model"] = "bytes"
    packing: Literal["concatenate", "first_fit"] = "concatenate"
    positions: Positions = Consecutive()
    separate_documents: bool = False
    lanes: int = 0
    data_dir: str = ""
    feature: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, self, "lanes")


_KNOWN = {"DataSettings": DataSettings, **SAMPLERS}


def parse(text: str) -> DataSettings:
    """Parse the spec of data settings: `parse(repr(s)) == s`.

    Raises:
        ValueError: for an unknown name or field, with the nearest known one, or a value that is not allowed.
    """
    return specs.parse(text, _KNOWN, kind="data settings")


BYTE_END_ID = 0
BYTE_VOCAB_SIZE = 256


class Tokenizer(Protocol):
    """Interface of a model's tokenizer: ids, and the id that ends a text."""

    @property
    def eos_id(self) -> int | None: ...

    def encode(self, text: str) -> list[int]: ...


class Coder(NamedTuple):
    """A function from text to token ids, and the id that ends a text.

    Attributes:
        ids: returns the token ids of UTF-8 text.
        end: the id that ends a text.
    """

    ids: Callable[[bytes], Sequence[int] | np.ndarray]
    end: int

    def document(self, text: bytes) -> np.ndarray:
        """Return the ids i32[N] of a UTF-8 text, followed by the id that ends it."""
        content = self.ids(text)
        ids = np.empty(len(content) + 1, np.int32)
        ids[:-1] = content
        ids[-1] = self.end
        return ids


def make_coder(name: str, tokenizer: Tokenizer | None) -> Coder:
    """Make the coder for a value of `DataSettings.tokenizer`.

    Args:
        name: "bytes" or "model".
        tokenizer: the model's tokenizer, used for "model".

    Raises:
        ValueError: for "model" without a tokenizer, or with one that has no token that ends a text.
    """
    if name == "bytes":
        return Coder(encode_bytes, BYTE_END_ID)
    if tokenizer is None:
        raise ValueError('tokenizer="model", but this model has no tokenizer; use tokenizer="bytes"')
    end = tokenizer.eos_id
    if end is None:
        raise ValueError('the model\'s tokenizer has no token that ends a text; use tokenizer="bytes"')
    return Coder(lambda text: tokenizer.encode(text.decode("utf-8", errors="replace")), end)


def encode_bytes(text: bytes) -> np.ndarray:
    """Return the bytes of a text as token ids u8[N]."""
    return np.frombuffer(text, np.uint8)
