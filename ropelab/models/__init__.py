"""Flax models: parameters in a thin container, everything else pure functions."""

from ropelab.models.config import Wiring
from ropelab.models.family import Config, Family
from ropelab.models.llama import LlamaConfig
from ropelab.models.module import Model, Parameters, from_scratch

Llama = Model  # the container knows no family: a Llama is a model whose configuration is a `LlamaConfig`

__all__ = ["Config", "Family", "Llama", "LlamaConfig", "Model", "Parameters", "Wiring", "from_scratch"]
