"""PEFT adapters: directories of low-rank terms without the model that they adapt.

    adapter_config.json, adapter_model.safetensors      base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight

lora_A is (r, in) and lora_B (out, r), without the factor alpha / r. Fully trained parameters are `modules_to_save`
with their usual names. PEFT does not know encodings, so the encoding of the training is in `ropelab.json`.

Reading is strict: a setting that would make another model, or an unknown tensor, raises an error that names it.

Source: huggingface/peft 0.21.2, `LoraConfig` and `get_peft_model_state_dict`.
"""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ropelab.checkpoints.files import LazyTensor, atomic_directory, write_json, write_safetensors
from ropelab.checkpoints.hugging_face.names import LAYER_NAMES, TOP_NAMES, Leaf, list_leaves
from ropelab.checkpoints.hugging_face.reading import open_safetensors, read_json
from ropelab.encodings import registry
from ropelab.encodings.base import Encoding
from ropelab.errors import CheckpointError
from ropelab.models import low_rank
from ropelab.models.family import Config, Tree
from ropelab.models.llama import LlamaConfig
from ropelab.models.parameters import shapes
from ropelab.rope_settings.base import check_count, check_number

_CONFIG_FILE, _WEIGHTS_FILE, ENCODING_FILE = "adapter_config.json", "adapter_model.safetensors", "ropelab.json"
_PREFIX = "base_model.model."


class _Entry(NamedTuple):
    """A tensor of an adapter and its place in the tree of trained parameters.

    Attributes:
        name: the name of the tensor in the file.
        path: keys from the root.
        layer: the layer of a stacked leaf; None for a leaf at the top.
        shape: the shape in the file.
    """

    name: str
    path: tuple[str, ...]
    layer: int | None
    shape: tuple[int, ...]


def _list_entries(terms: low_rank.Terms, config: LlamaConfig) -> Iterator[_Entry]:
    """List the tensors of an adapter of this model."""
    for leaf in list_leaves(config):
        name, stacked = leaf.path[-1], len(leaf.path) > 1
        if name in terms.targets and stacked:
            yield from _list_factors(leaf, terms.rank)
        elif terms.trains_whole(leaf.path):
            for number, tensor in enumerate(leaf.names):
                yield _Entry(_PREFIX + tensor, leaf.path, number if stacked else None, leaf.stored)
    if config.tied_head and "embedding" in terms.also:  # otherwise PEFT keeps the base's table for the head
        yield _Entry(_PREFIX + TOP_NAMES["head"], ("embedding",), None, (config.vocabulary, config.width))


def _list_factors(leaf: Leaf, rank: int) -> Iterator[_Entry]:
    """List lora_A and lora_B of every layer of a projection."""
    out, into = leaf.stored
    for number, tensor in enumerate(leaf.names):
        module = _PREFIX + tensor.removesuffix(".weight")
        yield _Entry(f"{module}.lora_A.weight", ("layers", f"{leaf.path[-1]}_a"), number, (rank, into))
        yield _Entry(f"{module}.lora_B.weight", ("layers", f"{leaf.path[-1]}_b"), number, (out, rank))


def save_adapter(
    directory: str | os.PathLike[str],
    trainable: Tree,
    terms: low_rank.Terms,
    config: Config,
    encoding: Encoding,
    *,
    base: str,
) -> Path:
    """Write the trained parameters of an adaptation; the directory is written atomically.

    Args:
        trainable: as `LoRA.split` gives it.
        encoding: the encoding of the training.
        base: the adapted model, a directory or a hub id that PEFT can load. PEFT cannot change an encoding, so an
            extended base must be written with `export` first.

    Raises:
        CheckpointError: for a model that PEFT has no names for, or a directory that exists.
    """
    config = _require_llama(config)
    if "encoding" in trainable:
        raise CheckpointError(f"PEFT has no place for the learned tables of {encoding!r}; keep ropelab's run")
    found = [LazyTensor(e.name, e.shape, partial(_stored_values, e, trainable)) for e in _list_entries(terms, config)]
    with atomic_directory(directory) as folder:
        write_safetensors(folder / _WEIGHTS_FILE, found, np.float32)
        write_json(folder / ENCODING_FILE, {"encoding": repr(encoding)})
        write_json(folder / _CONFIG_FILE, _write_config(terms, config, base))
    return Path(directory)


def _require_llama(config: Config) -> LlamaConfig:
    """Return the configuration if PEFT has names for the parameters of the model.

    Raises:
        CheckpointError: if it has none.
    """
    if not isinstance(config, LlamaConfig) or config.sink_logits:
        what = type(config).__name__.removesuffix("Config")
        raise CheckpointError(
            f"PEFT has names for a Llama without sink_logits only, but this model is a {what}: {config!r}"
        )
    return config


def _stored_values(entry: _Entry, trainable: Mapping[str, Any]) -> np.ndarray:
    """Return the values of a tensor in PEFT's layout."""
    leaf: Any = trainable
    for key in entry.path:
        leaf = leaf[key]
    if entry.layer is None:
        return np.asarray(leaf)
    return np.asarray(leaf[entry.layer]).reshape(entry.shape[::-1]).T


def _write_config(terms: low_rank.Terms, config: LlamaConfig, base: str) -> dict[str, Any]:
    """Return the contents of adapter_config.json, without PEFT's defaults."""
    whole = sorted({_module_name(e.name) for e in _list_entries(terms, config) if e.path[-1][-2:] not in ("_a", "_b")})
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": terms.rank,
        "lora_alpha": int(terms.alpha) if terms.alpha.is_integer() else terms.alpha,
        "target_modules": [_module_name(LAYER_NAMES[name]) for name in terms.targets],
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


def _module_name(name: str) -> str:
    """Return the name of a module: `model.layers.0.self_attn.q_proj.weight` → `q_proj`."""
    return name.removesuffix(".weight").rpartition(".")[2]


_READ_KEYS = {"peft_type", "r", "lora_alpha", "use_rslora", "init_lora_weights", "bias", "target_modules"}
_IGNORED_KEYS = {  # settings that the tensors already express, or without effect on the model
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config", "exclude_modules",
    "inference_mode", "layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout", "lora_ga_config",
    "megatron_config", "megatron_core", "modules_to_save", "peft_version", "qalora_group_size", "revision",
    "runtime_config", "task_type",
}  # fmt: skip
_INITS_KEEPING_BASE = (
    True,
    False,
    None,
    "gaussian",
    "orthogonal",
    "eva",
)  # initializations that do not change the base's matrices
_MODULES = {name: _module_name(LAYER_NAMES[name]) for name in low_rank.PROJECTIONS}
_NORM_MODULES = {"input_layernorm", "post_attention_layernorm", "norm"}


class Adapter(NamedTuple):
    """The contents of an adapter directory.

    Attributes:
        terms: rank, alpha, targets and fully trained parameters.
        trainable: the trained parameters in float32, as `LoRA.split` returns them.
        encoding: the spec of the encoding of the training, None if the directory has none.
        base: the adapted model, as in PEFT's configuration.
    """

    terms: low_rank.Terms
    trainable: Tree
    encoding: str | None
    base: str | None


def read_adapter(directory: str | os.PathLike[str], config: Config) -> Adapter:
    """Read the adapter in a directory for a model of this configuration.

    Raises:
        CheckpointError: for a setting that is not supported, tensors that are missing, unknown or of other shapes, or a
            model that is not a Llama.
    """
    folder = Path(directory).expanduser()
    config = _require_llama(config)
    if not (folder / _CONFIG_FILE).is_file():
        raise CheckpointError(f"{folder} has no {_CONFIG_FILE}; a PEFT adapter has {_CONFIG_FILE} and {_WEIGHTS_FILE}")
    settings = read_json(folder / _CONFIG_FILE)
    _check_settings(folder / _CONFIG_FILE, settings)
    if not (folder / _WEIGHTS_FILE).is_file() and any(folder.glob("*.bin")):
        raise CheckpointError(f"{folder} holds pickled weights only, which can run code; save them as safetensors")
    file, base = open_safetensors(folder / _WEIGHTS_FILE), settings.get("base_model_name_or_path")
    found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    terms = _read_terms(folder, settings, found, config)
    wanted = list(_list_entries(terms, config))
    _check_tensors(folder / _WEIGHTS_FILE, found, wanted, base)
    trainable = _read_tree(folder / _WEIGHTS_FILE, file, wanted, terms, config)
    return Adapter(terms, trainable, _read_encoding_spec(folder / ENCODING_FILE), base)


def _read_encoding_spec(path: Path) -> str | None:
    """Read the spec in `ropelab.json`; adapters that PEFT wrote have no such file."""
    spec = read_json(path).get("encoding") if path.is_file() else None
    if not isinstance(spec, str | None):
        raise CheckpointError(f"{path}: encoding={spec!r} is not the text of an encoding's spec")
    return spec


def parse_trained_encoding(directory: str | os.PathLike[str], spec: str) -> Encoding:
    """Parse the encoding in an adapter's `ropelab.json`.

    Only encodings of ropelab are allowed. A file that the text names is never imported, because the directory may be
    untrusted.

    Raises:
        CheckpointError: for everything else.
    """
    try:
        return registry.parse(spec)
    except ValueError as error:
        raise CheckpointError(
            f"{Path(directory) / ENCODING_FILE}: {error}. To use your own encoding, plug it in first: "
            'lab.swap("my_encoding.py:Mine(a=1)").adapted(...)'
        ) from None


def _check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Raise for settings with which the adapted model is not x W + (alpha / r) (x A) B."""
    if settings.get("peft_type") != "LORA":
        raise CheckpointError(f"{path}: peft_type {settings.get('peft_type')!r} is not supported; use 'LORA'")
    if settings.get("bias", "none") != "none":
        raise CheckpointError(
            f"{path}: bias={settings['bias']!r} trains biases, which are not supported; merge the adapter with PEFT"
        )
    init = settings.get("init_lora_weights")
    if init not in _INITS_KEEPING_BASE:
        why = "changes the base's matrices; save it with PEFT's path_initial_model_for_weight_conversion"
        raise CheckpointError(f"{path}: init_lora_weights={init!r} {why}")
    for key in sorted(set(settings) - _READ_KEYS - _IGNORED_KEYS):
        if settings[key]:
            raise CheckpointError(
                f"{path}: {key}={settings[key]!r} changes the model and is not supported; merge the adapter with PEFT"
            )


def _read_terms(folder: Path, settings: Mapping[str, Any], found: Iterable[str], config: LlamaConfig) -> low_rank.Terms:
    """Read the terms of the adapter from its settings and its tensors."""
    where = str(folder / _CONFIG_FILE)
    fields: dict[str, Any] = {"rank": check_count(where, "r", settings.get("r")) or 0}
    fields["alpha"] = check_number(where, "lora_alpha", settings.get("lora_alpha"))
    if settings.get("use_rslora"):  # alpha / sqrt(r) is the factor then
        fields["alpha"] *= math.sqrt(fields["rank"])
    fields["targets"] = _read_targets(folder / _WEIGHTS_FILE, settings.get("target_modules"), found)
    fields["also"] = _read_full_params(folder / _WEIGHTS_FILE, found, config.tied_head)
    try:
        return low_rank.Terms(**fields)
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}") from None


def _read_targets(path: Path, stated: Any, found: Iterable[str]) -> tuple[str, ...]:
    """Return the projections that have tensors; all projections in a list of `target_modules` must have some."""
    adapted = {_module_name(name.removesuffix(".lora_A.weight")) for name in found if name.endswith(".lora_A.weight")}
    listed = {str(name).rpartition(".")[2] for name in stated} if isinstance(stated, list) else set()
    for module in sorted(listed & set(_MODULES.values()) - adapted):
        raise CheckpointError(f"{path}: {module} is one of the target_modules but has no tensors")
    if not adapted & set(_MODULES.values()):
        raise CheckpointError(f"{path} adapts none of {', '.join(_MODULES.values())}")
    return tuple(name for name, module in _MODULES.items() if module in adapted)


def _read_full_params(path: Path, found: Iterable[str], tied: bool) -> tuple[str, ...]:
    """Return the fully trained parameters, by their names in `also`."""
    embedding, head = (_PREFIX + TOP_NAMES[name] in found for name in ("embedding", "head"))
    if tied and embedding != head:
        which, other = ("embedding", "head") if embedding else ("head", "embedding")
        why = f"changes the {which} but not the {other}, which share one table in this model"
        raise CheckpointError(f"{path} {why}; save it with ensure_weight_tying=True, or untie the base")
    norms = any(_module_name(name) in _NORM_MODULES for name in found)
    there = {"embedding": embedding, "norms": norms, "head": head and not tied}
    return tuple(name for name in there if there[name])


def _check_tensors(path: Path, found: Mapping[str, tuple[int, ...]], wanted: list[_Entry], base: str | None) -> None:
    """Check that all tensors exist with the right shapes, and that there are no others."""
    for name, _, _, shape in wanted:
        if name not in found:
            raise CheckpointError(
                f"{path}: tensor {name} is missing; the adapter is incomplete, or of a model with more layers"
            )
        if found[name] != shape:
            why = f"its rank differs from {_CONFIG_FILE}, or it belongs to a model of other sizes; its base is {base!r}"
            raise CheckpointError(f"{path}: tensor {name} has shape {found[name]}, expected {shape}: {why}")
    known = {entry.name for entry in wanted}
    for name in found:
        if name not in known:
            raise CheckpointError(
                f"{path}: tensor {name} has no place in this model; the base of the adapter is {base!r}"
            )


def _read_tree(path: Path, file: Any, wanted: list[_Entry], terms: low_rank.Terms, config: LlamaConfig) -> Tree:
    """Read the tensors in the layout of the model."""
    sizes, tree = shapes(config), {}
    for name, place, layer, shape in wanted:
        values = np.asarray(file.get_tensor(name))
        if not jnp.issubdtype(values.dtype, jnp.floating):
            raise CheckpointError(f"{path}: {name} holds {values.dtype}, not floating-point numbers")
        values = values.astype(np.float32)
        if layer is not None:
            stacked = _leaf_shape(place[-1], sizes["layers"], terms.rank)
            leaf = tree.setdefault("layers", {}).setdefault(place[-1], np.empty(stacked, np.float32))
            leaf[layer] = values.reshape(shape[0], -1).T.reshape(stacked[1:])
        elif not np.array_equal(tree.setdefault(place[0], values), values):
            raise CheckpointError(f"{path}: embedding and head differ, but they share one table in this model")
    return jax.tree.map(jnp.asarray, tree)


def _leaf_shape(name: str, layers: Mapping[str, tuple[int, ...]], rank: int) -> tuple[int, ...]:
    """Return the shape of a stacked leaf of the trained parameters."""
    if name in layers:
        return layers[name]
    return low_rank.factor_shapes(name[:-2], layers[name[:-2]], rank)["ab".index(name[-1])]
