"""Hugging Face directories of a Llama: config.json, safetensors and tokenizer, read and written."""

from ropelab.checkpoints.hugging_face.reading import HuggingFaceDirectory
from ropelab.checkpoints.hugging_face.writing import export, extend_length

__all__ = ["HuggingFaceDirectory", "export", "extend_length"]
