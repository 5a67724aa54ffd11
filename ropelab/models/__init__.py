"""Flax models: parameters in a thin container, everything else pure functions."""

from ropelab.models.config import LlamaConfig, Wiring
from ropelab.models.module import Llama, Parameters

__all__ = ["Llama", "LlamaConfig", "Parameters", "Wiring"]
