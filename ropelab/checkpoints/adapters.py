"""Low-rank terms as PEFT saves them, apart from the model that they adapt.

    adapter_config.json, adapter_model.safetensors      base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight

lora_A is (r, in) and lora_B (out, r), without the factor alpha / r. Parameters replaced whole are `modules_to_save`,
under their own names. PEFT knows nothing of encodings, so that of the training stands beside, in `ropelab.json`.

Source: huggingface/peft 0.21.2, `LoraConfig` and `get_peft_model_state_dict`.
"""

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.llama_names import LAYER_NAMES, TOP_NAMES, Leaf, leaves
from ropelab.checkpoints.safetensors_file import Tensor, write
from ropelab.checkpoints.tokenizer_files import write_json
from ropelab.checkpoints.whole_folder import whole_folder
from ropelab.encodings.base import Encoding
from ropelab.models import low_rank
from ropelab.models.family import Config, Tree
from ropelab.models.llama import LlamaConfig

CONFIG, WEIGHTS, BESIDE = "adapter_config.json", "adapter_model.safetensors", "ropelab.json"
PREFIX = "base_model.model."


class Entry(NamedTuple):
    """One tensor of an adapter and its place in the tree of what is trained.

    Attributes:
        path: keys from the root.
        layer: of a stacked leaf; None for one at the top.
        shape: as in the file.
    """

    name: str
    path: tuple[str, ...]
    layer: int | None
    shape: tuple[int, ...]


def entries(terms: low_rank.Terms, config: LlamaConfig) -> Iterator[Entry]:
    """Every tensor of an adapter of this model."""
    for leaf in leaves(config):
        name, stacked = leaf.path[-1], len(leaf.path) > 1
        if name in terms.targets and stacked:
            yield from factors(leaf, terms.rank)
        elif terms.trains_whole(leaf.path):
            for number, tensor in enumerate(leaf.names):
                yield Entry(PREFIX + tensor, leaf.path, number if stacked else None, leaf.stored)
    if config.tied_head and "embedding" in terms.also:  # PEFT would leave the head with the base's table
        yield Entry(PREFIX + TOP_NAMES["head"], ("embedding",), None, (config.vocabulary, config.width))


def factors(leaf: Leaf, rank: int) -> Iterator[Entry]:
    """lora_A and lora_B of every layer of one projection."""
    out, into = leaf.stored
    for number, tensor in enumerate(leaf.names):
        module = PREFIX + tensor.removesuffix(".weight")
        yield Entry(f"{module}.lora_A.weight", ("layers", f"{leaf.path[-1]}_a"), number, (rank, into))
        yield Entry(f"{module}.lora_B.weight", ("layers", f"{leaf.path[-1]}_b"), number, (out, rank))


def save_adapter(
    directory: str | os.PathLike[str],
    trainable: Tree,
    terms: low_rank.Terms,
    config: Config,
    encoding: Encoding,
    *,
    base: str,
) -> Path:
    """Write what an adaptation has trained; the directory appears when it is whole.

    Args:
        trainable: as `LoRA.split` gives it.
        encoding: that it was trained under.
        base: the model adapted, a directory or a hub id, as PEFT will look for it. A base that was extended is one
            that `export` has written: PEFT itself cannot change an encoding.

    Raises:
        CheckpointError: for a model that PEFT has no names for, or a directory that is there already.
    """
    config = with_names(config)
    if "encoding" in trainable:
        raise CheckpointError(f"PEFT has no place for the tables that {encoding!r} learns: keep ropelab's run")
    found = [Tensor(e.name, e.shape, partial(values, e, trainable)) for e in entries(terms, config)]
    with whole_folder(directory) as folder:
        write(folder / WEIGHTS, found, np.float32)
        write_json(folder / BESIDE, {"encoding": repr(encoding)})
        write_json(folder / CONFIG, peft_config(terms, config, base))
    return Path(directory)


def with_names(config: Config) -> LlamaConfig:
    """The configuration, if PEFT has names for the parameters of such a model."""
    if not isinstance(config, LlamaConfig) or config.sink_logits:
        what = type(config).__name__.removesuffix("Config")
        raise CheckpointError(
            f"PEFT's names are those of a Llama without sink_logits, and this is a {what}: {config!r}"
        )
    return config


def values(entry: Entry, trainable: Mapping[str, Any]) -> np.ndarray:
    """The values of one tensor as PEFT stores them."""
    leaf: Any = trainable
    for key in entry.path:
        leaf = leaf[key]
    if entry.layer is None:
        return np.asarray(leaf)
    return np.asarray(leaf[entry.layer]).reshape(entry.shape[::-1]).T


def peft_config(terms: low_rank.Terms, config: LlamaConfig, base: str) -> dict[str, Any]:
    """All of adapter_config.json that is not PEFT's default."""
    whole = sorted({module_of(e.name) for e in entries(terms, config) if e.path[-1][-2:] not in ("_a", "_b")})
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": terms.rank,
        "lora_alpha": int(terms.alpha) if terms.alpha.is_integer() else terms.alpha,
        "target_modules": [module_of(LAYER_NAMES[name]) for name in terms.targets],
        "modules_to_save": whole or None,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "use_rslora": False,
        "use_dora": False,
        "inference_mode": True,
    }
    tied = config.tied_head and "embedding" in terms.also
    return settings | ({"ensure_weight_tying": True} if tied else {})


def module_of(name: str) -> str:
    """`model.layers.0.self_attn.q_proj.weight` → `q_proj`."""
    return name.removesuffix(".weight").rpartition(".")[2]
