"""Reading of Hugging Face directories: config.json, one or more safetensors files, tokenizer.json."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

from ropelab import rope_settings
from ropelab.checkpoints import tokenizer
from ropelab.errors import CheckpointError
from ropelab.models.llama import LlamaConfig

_DTYPE_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
WEIGHTS_FILE, _INDEX_FILE = "model.safetensors", "model.safetensors.index.json"


class HuggingFaceDirectory:
    """A Hugging Face directory, read lazily; implements `Source`."""

    def __init__(self, folder: Path):
        settings = read_json(folder / "config.json")
        self.name = str(folder)
        self.config = read_config(settings)
        self.encoding = rope_settings.from_hf(settings)
        self.tokenizer = tokenizer.read_tokenizer(folder)
        self._files = {path: open_safetensors(path) for path in _list_weight_files(folder)}
        self._owner = _find_tensors(self._files)
        self.shapes: Mapping[str, tuple[int, ...]] = {
            name: tuple(self._files[path].get_slice(name).get_shape()) for name, path in self._owner.items()
        }

        kinds = Counter(self._files[path].get_slice(name).get_dtype() for name, path in self._owner.items())
        self.weights = (
            f"{' and '.join(_DTYPE_NAMES.get(kind, str(kind)) for kind, _ in kinds.most_common())} safetensors"
        )

    def tensor(self, name: str) -> np.ndarray:
        """Return the values of a tensor."""
        try:
            values = np.asarray(self._files[self._owner[name]].get_tensor(name))
        except (SafetensorError, AttributeError) as error:  # AttributeError: a type that numpy lacks, such as float8
            raise CheckpointError(f"{self._owner[name]}: cannot read {name}: {error}") from None
        if not jnp.issubdtype(values.dtype, jnp.floating):
            raise CheckpointError(f"{self._owner[name]}: {name} holds {values.dtype}, not floating-point weights")
        return values


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        CheckpointError: if the file is missing or has no JSON object.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; a Hugging Face directory has config.json and {WEIGHTS_FILE}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # also for bytes that are not UTF-8 and endless integers
        raise CheckpointError(f"{path} is not valid JSON: {error}; download it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a {type(value).__name__}, not a JSON object")
    return value


def read_config(settings: Mapping[str, Any]) -> LlamaConfig:
    """Read the sizes in a config.json.

    Raises:
        CheckpointError: for another architecture, quantised weights, or sizes that are missing or impossible.
    """
    kind = settings.get("model_type")
    if kind != "llama":
        raise CheckpointError(f"config.json: model_type {kind!r} is not supported; use a model with model_type 'llama'")
    if settings.get("quantization_config"):
        raise CheckpointError(
            "config.json: quantized safetensors are not supported; use the unquantized weights or a GGUF"
        )
    if settings.get("hidden_act", "silu") != "silu":
        raise CheckpointError(
            f"config.json: hidden_act {settings['hidden_act']!r} is not supported; a Llama has 'silu'"
        )
    try:
        heads, width = settings["num_attention_heads"], settings["hidden_size"]
        return LlamaConfig(
            vocabulary=settings["vocab_size"],
            width=width,
            layers=settings["num_hidden_layers"],
            heads=heads,
            key_heads=settings.get("num_key_value_heads") or heads,
            head_dim=settings.get("head_dim") or width // heads,
            feed_forward=settings["intermediate_size"],
            norm_eps=settings.get("rms_norm_eps", 1e-6),
            trained_length=settings.get("max_position_embeddings", 2048),
            tied_head=settings.get("tie_word_embeddings", False),
            attention_bias=settings.get("attention_bias", False),
            mlp_bias=settings.get("mlp_bias", False),
        )
    except KeyError as missing:
        raise CheckpointError(f"config.json: {missing} is missing") from None
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(f"config.json: {error}") from None


def _list_weight_files(folder: Path) -> list[Path]:
    """List the safetensors files of a directory: those in the index, or the only one."""
    if (folder / _INDEX_FILE).is_file():
        names = read_json(folder / _INDEX_FILE).get("weight_map")
        if not isinstance(names, dict) or not names:
            raise CheckpointError(f"{folder / _INDEX_FILE} has no weight_map")
        files = sorted(set(map(str, names.values())))
        for name in files:
            if Path(name).name != name:
                raise CheckpointError(f"{folder / _INDEX_FILE} points outside its directory: {name!r}")
        return [folder / name for name in files]
    if not (folder / WEIGHTS_FILE).is_file() and any(folder.glob("*.bin")):
        raise CheckpointError(f"{folder} holds pickled weights only, which can run code; convert them to safetensors")
    return [folder / WEIGHTS_FILE]


def _find_tensors(files: Mapping[Path, Any]) -> dict[str, Path]:
    """Map the name of each tensor to its file."""
    found: dict[str, Path] = {}
    for path, file in files.items():
        for name in file.keys():  # noqa: SIM118
            if name in found:
                raise CheckpointError(f"tensor {name} is in both {found[name]} and {path}; remove one of the two files")
            found[name] = path
    return found


def open_safetensors(path: Path) -> Any:
    """Open a safetensors file, memory-mapped."""
    try:
        if not path.is_file():
            raise CheckpointError(f"{path} is missing; download the checkpoint again")
        return safe_open(path, framework="np")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is truncated or not a safetensors file ({error}); download it again") from None
