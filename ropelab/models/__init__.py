"""Flax models: parameters in a thin container, everything else pure functions."""

from ropelab import spec
from ropelab.models.config import Wiring
from ropelab.models.family import Config, Family
from ropelab.models.llama import LlamaConfig
from ropelab.models.longnet import LongNetConfig
from ropelab.models.module import Model, Parameters, from_scratch

__all__ = [
    "Config",
    "Family",
    "Llama",
    "LlamaConfig",
    "LongNetConfig",
    "Model",
    "Parameters",
    "Wiring",
    "from_scratch",
    "parse",
]

Llama = Model  # the container knows no family: a Llama is a model whose configuration is a `LlamaConfig`
CLASSES: dict[str, type[Config]] = {"LlamaConfig": LlamaConfig, "LongNetConfig": LongNetConfig}


def parse(text: str) -> Config:
    """The sizes that a spec string names: `parse(repr(c)) == c`.

    Raises:
        ValueError: for an unknown family or field, with the nearest right name, or a refused value.
    """
    return spec.parse(text, CLASSES, kind="model")
