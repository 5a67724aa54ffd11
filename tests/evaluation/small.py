"""Settings and a stand-in for a model, small enough to count what is asked of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ropelab.encodings import RoPE
from ropelab.evaluation.by_position import PositionSettings
from ropelab.evaluation.variants import Variant
from ropelab.models.llama import LlamaConfig
from tests.models import tiny

LENGTHS = (16, 24, 80)
DOCUMENTS = np.random.default_rng(5).integers(0, tiny.VOCABULARY, (2, 80)).astype(np.int32)
SETTINGS = PositionSettings(
    model="tiny",
    weights="0123456789ab",
    text="noise",
    text_sha256="f" * 64,
    lengths=LENGTHS,
    windows=2,
    edges=(16, 32, 64),
    last=8,
    dtype="float32",
    kernel="auto",
    part=2048,
)


class Counted:
    """As much of a model as measuring needs: losses that depend on tokens and encoding, and a list of calls."""

    def __init__(self, **wiring: Any) -> None:
        self.wiring = tiny.lab().model.wiring._replace(**wiring)
        self.read: list[int] = []

    @property
    def config(self) -> LlamaConfig:
        return self.wiring.config

    def nll_in_parts(self, tokens_1T: np.ndarray) -> Iterator[np.ndarray]:
        self.read.append(tokens_1T.shape[1])
        scale = len(repr(self.wiring.encoding)) / 10
        losses = (scale * tokens_1T[:, 1:] / tiny.VOCABULARY).astype(np.float32)
        yield losses[:, :10]
        if losses.shape[1] > 10:
            yield losses[:, 10:]


def counted(name: str, window: int | None = None, **wiring: Any) -> Variant:
    """An arm of a stand-in; `RoPE(base=1e4)` unless told otherwise."""
    return Variant(name, Counted(**{"encoding": RoPE(base=1e4)} | wiring), window)  # type: ignore[arg-type]
