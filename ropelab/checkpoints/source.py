"""What every outside format is reduced to: tensors under Hugging Face's names, a configuration, an encoding."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.encodings.base import Encoding
from ropelab.models.llama import LlamaConfig


class Source(Protocol):
    """One checkpoint on disk, read lazily.

    Attributes:
        name: what to call it in messages.
        weights: what the stored weights are, for the line of a protocol: "SmolLM2-135M-Instruct, Q4_1 GGUF".
        config: the model's sizes.
        encoding: the positional encoding the weights were trained with.
        tokenizer: None when the checkpoint carries none.
        shapes: the shape of every tensor under its Hugging Face name, e.g.
            `model.layers.0.self_attn.q_proj.weight`: (N H, D), rows paired for "half" rotation.
    """

    name: str
    weights: str
    config: LlamaConfig
    encoding: Encoding
    tokenizer: Tokenizer | None
    shapes: Mapping[str, tuple[int, ...]]

    def tensor(self, name: str) -> np.ndarray:
        """The values of one tensor, dequantised if need be, as a numpy array of a float dtype."""
        ...
