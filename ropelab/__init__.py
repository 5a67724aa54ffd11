"""ropelab: put any positional encoding and any attention pattern into a real pretrained Llama."""

import importlib
from typing import TYPE_CHECKING, Any

from ropelab import miscompilation

if TYPE_CHECKING:
    from ropelab import attention, checkpoints, contract, encodings, evaluation, models
    from ropelab.lab import Lab, load
    from ropelab.models.finite import NonFiniteError, allow_nonfinite
    from ropelab.training.distributed import init_distributed

miscompilation.guard()  # before any backend of jax starts

__version__ = "0.1.0"
__all__ = [
    "Lab",
    "NonFiniteError",
    "__version__",
    "allow_nonfinite",
    "attention",
    "checkpoints",
    "contract",
    "encodings",
    "evaluation",
    "init_distributed",
    "load",
    "models",
]


def __dir__() -> list[str]:
    """Every public name, imported yet or not."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import on first use, so that reading records or drawing figures does not start jax."""
    if name in ("Lab", "load"):
        return getattr(importlib.import_module("ropelab.lab"), name)
    if name in ("NonFiniteError", "allow_nonfinite"):
        return getattr(importlib.import_module("ropelab.models.finite"), name)
    if name == "init_distributed":
        return importlib.import_module("ropelab.training.distributed").init_distributed
    if name in __all__:
        return importlib.import_module(f"ropelab.{name}")
    raise AttributeError(f"module 'ropelab' has no attribute {name!r}")
