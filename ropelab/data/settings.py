"""What to train on and how its documents become windows, as one value that is written as it is called.

`DataSettings(source="local_text:/books", packing="first_fit", positions=PoSE(length=8192))`
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np

from ropelab import spec as specs
from ropelab.data.positions import SAMPLERS, Consecutive, Positions
from ropelab.spec import Spec, at_least, spec

CONCATENATE, FIRST_FIT = "concatenate", "first_fit"
BYTES, MODEL = "bytes", "model"


@spec
class DataSettings(Spec):
    """The data of a run.

    Attributes:
        source: "python_stdlib", "python_docs", "local_text:/a/file/or/folder", the name of a text dataset of
            TensorFlow Datasets ("pg19", "wikipedia/20230601.en"), or a task such as "Copy(symbols=16)".
        split: what is trained on, in TFDS's words: "train", "train[:10%]".
        test_split: what is measured on.
        tokenizer: "bytes" (a token a byte of UTF-8, byte 0 ends a text) or "model" (the model's own).
        packing: "concatenate" fills each window, and cuts documents where it ends; "first_fit" keeps each document
            that fits into a window whole, and pads.
        positions: where the tokens are said to stand.
        separate_documents: whether a document is to know nothing of those before it in its window: no loss on its
            first token, and `segments` is meant for attention.
        lanes: how many independent streams a batch is made of, each with its share of the documents; 0 is one for each
            row, or as many as there are documents for. A process reads only those of its own rows. With fewer lanes
            than rows some rows of a batch follow one another in a document: with one lane for 32 rows of 64 bytes a
            byte model comes to a perplexity of 7.4 where with 32 lanes it comes to 4.4.
        data_dir: where prepared datasets lie; TFDS's own place, ~/tensorflow_datasets, if empty.
        feature: which text of a dataset that has several; chosen by its name if empty.
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
    """The settings a spec string means: `parse(repr(s)) == s`.

    Raises:
        ValueError: for an unknown name or field, with the nearest right one, or a refused value.
    """
    return specs.parse(text, _KNOWN, kind="data settings")


# Text → token ids that end with the end of the text.

BYTE_END_ID = 0
BYTE_VOCAB_SIZE = 256


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


def make_coder(name: str, tokenizer: Tokenizer | None) -> Coder:
    """What the settings' `tokenizer` means: "bytes", or "model" for the one that is given.

    Raises:
        ValueError: if the model's is wanted and there is none, or it has no token that ends a text.
    """
    if name == "bytes":
        return Coder(encode_bytes, BYTE_END_ID)
    if tokenizer is None:
        raise ValueError('tokenizer="model", but this model has none; give tokenizer="bytes"')
    end = tokenizer.eos_id
    if end is None:
        raise ValueError('the model\'s tokenizer has no token that ends a text; give tokenizer="bytes"')
    return Coder(lambda text: tokenizer.encode(text.decode("utf-8", errors="replace")), end)


def encode_bytes(text: bytes) -> np.ndarray:
    return np.frombuffer(text, np.uint8)
