"""Measurements: what is applied, and what it does."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ropelab.evaluation.attention_taps import measured_scores
    from ropelab.evaluation.resolution import attention_resolution, expected_scores

__all__ = ["attention_resolution", "expected_scores", "measured_scores"]
MODULES = {
    "attention_resolution": "resolution",
    "expected_scores": "resolution",
    "measured_scores": "attention_taps",
}


def __getattr__(name: str) -> Any:
    """Import on first use: a protocol or a record needs neither jax nor a model."""
    if name in MODULES:
        return getattr(importlib.import_module(f"ropelab.evaluation.{MODULES[name]}"), name)
    raise AttributeError(f"module 'ropelab.evaluation' has no attribute {name!r}")
