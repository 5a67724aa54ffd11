"""Checkpoints of other tools (Hugging Face, GGUF, PEFT) as parameters, encodings and tokenizers, and back."""

from ropelab.checkpoints import knobs
from ropelab.errors import CheckpointError

__all__ = ["CheckpointError", "knobs"]
