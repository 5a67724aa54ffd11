"""A Hugging Face directory small enough for a test, with weights whose logits transformers has frozen.

Two layers, four heads, 97 words, trained length 32; see tests/golden/README.md for the variants. The vocabulary of 97
is just enough for a byte-level tokenizer of printable ASCII, so the same directory can also read text.
"""

import functools
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

import ropelab

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "llama.npz"))
VARIANTS: dict[str, dict[str, Any]] = {v["name"]: v for v in map(json.loads, GOLDEN["variants"])}
PLAIN = "default_1e4"
SHORT, LONG = GOLDEN["tokens/short"], GOLDEN["tokens/long"]
VOCABULARY, TRAINED_LENGTH = 97, 32

Tensors = dict[str, np.ndarray]


def config(variant: str = PLAIN, form: str = "config_v5", **changes: Any) -> dict[str, Any]:
    """The config.json of a variant, as transformers 5 or 4 writes it; a change to `...` takes the key out."""
    settings = VARIANTS[variant][form] | changes
    return {key: value for key, value in settings.items() if value is not ...}


def tensors(variant: str = PLAIN) -> Tensors:
    """The weights of a variant under their Hugging Face names."""
    overlay = VARIANTS[variant]["overlay"]
    found = group("weights") | group(f"{overlay}/" if overlay else "nothing/")
    if overlay == "mha":
        tiled = (name for name in found if name.endswith(("k_proj.weight", "v_proj.weight")))
        found |= {name: np.tile(found[name], (2, 1)) for name in tiled}
    return found


def group(prefix: str) -> Tensors:
    prefix = prefix.rstrip("/") + "/"
    return {key.removeprefix(prefix): value for key, value in GOLDEN.items() if key.startswith(prefix)}


def write(
    folder: Path,
    variant: str = PLAIN,
    *,
    settings: Mapping[str, Any] | None = None,
    weights: Tensors | None = None,
    files: int = 1,
    tokenizer: bool = False,
) -> Path:
    """Write a directory that `ropelab.load` reads.

    Args:
        settings, weights: instead of the variant's own.
        files: how many safetensors files; more than one come with an index.
        tokenizer: add a tokenizer.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = tensors(variant) if weights is None else weights
    (folder / "config.json").write_text(json.dumps(config(variant) if settings is None else dict(settings)))
    if files == 1:
        save_file(weights, folder / "model.safetensors")
    else:
        write_split(folder, weights, files)
    if tokenizer:
        (folder / "tokenizer.json").write_text(json.dumps(byte_level()))
    return folder


def write_split(folder: Path, weights: Tensors, files: int) -> None:
    """Tensors dealt out over several files, with the index that says where each went."""
    names = [f"model-{i + 1:05}-of-{files:05}.safetensors" for i in range(files)]
    owner = {tensor: names[i % files] for i, tensor in enumerate(sorted(weights))}
    for name in names:
        save_file({tensor: weights[tensor] for tensor in owner if owner[tensor] == name}, folder / name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": owner}))


def byte_level() -> dict[str, Any]:
    """A tokenizer.json without merges: newline and printable ASCII a token each, then an end-of-text token."""
    alphabet = "Ċ" + "".join("Ġ" if code == 32 else chr(code) for code in range(32, 127))
    end = {"id": len(alphabet), "content": "<end>", "special": True}
    end |= dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "added_tokens": [end],
        "pre_tokenizer": level,
        "decoder": level,
        "model": {"type": "BPE", "vocab": vocabulary(alphabet), "merges": []},
    }


def vocabulary(alphabet: Iterable[str]) -> dict[str, int]:
    ids = {letter: number for number, letter in enumerate(alphabet)}
    return ids | {"<end>": len(ids)}


@functools.cache
def lab(variant: str = PLAIN, *, tokenizer: bool = False) -> ropelab.Lab:
    """A variant on the bench, loaded once for each test process; nothing of it can be changed."""
    with tempfile.TemporaryDirectory() as folder:
        return ropelab.load(write(Path(folder), variant, tokenizer=tokenizer))
