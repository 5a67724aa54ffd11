"""A directory of PEFT's, whoever wrote it, as the trainable tree of an adaptation.

Read strictly: a setting that would make another model, or a tensor without a place, is an error that names it.
"""

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ropelab.checkpoints.adapters import BESIDE, CONFIG, PREFIX, WEIGHTS, Entry, entries, module_of, with_names
from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.hugging_face import open_weights, read_json
from ropelab.checkpoints.knobs.setting import real, whole
from ropelab.checkpoints.llama_names import LAYER_NAMES, TOP_NAMES
from ropelab.encodings import registry
from ropelab.encodings.base import Encoding
from ropelab.models import low_rank
from ropelab.models.family import Config, Tree
from ropelab.models.llama import LlamaConfig
from ropelab.models.parameters import shapes

READ = {"peft_type", "r", "lora_alpha", "use_rslora", "init_lora_weights", "bias", "target_modules"}
IDLE = {  # what says no more about the adapted model than the tensors do
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config", "exclude_modules",
    "inference_mode", "layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout", "lora_ga_config",
    "megatron_config", "megatron_core", "modules_to_save", "peft_version", "qalora_group_size", "revision",
    "runtime_config", "task_type",
}  # fmt: skip
BASE_AS_IT_WAS = (True, False, None, "gaussian", "orthogonal", "eva")  # beginnings that leave the base's matrices alone
MODULES = {name: module_of(LAYER_NAMES[name]) for name in low_rank.PROJECTIONS}
NORMS = {"input_layernorm", "post_attention_layernorm", "norm"}


class Adapter(NamedTuple):
    """What a directory holds.

    Attributes:
        terms: rank, alpha, targets and what is replaced whole.
        trainable: float32, as `LoRA.split` gives it.
        encoding: the spec of the encoding that it was trained under, None if the directory does not say.
        base: the model that it adapts, as PEFT would look for it.
    """

    terms: low_rank.Terms
    trainable: Tree
    encoding: str | None
    base: str | None


def read_adapter(directory: str | os.PathLike[str], config: Config) -> Adapter:
    """The adapter in a directory, for a model of these sizes.

    Raises:
        CheckpointError: for a setting that is not read, tensors that are missing, have no place or have other shapes,
            or a model that is no Llama.
    """
    folder = Path(directory).expanduser()
    config = with_names(config)
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"{folder} has no {CONFIG}; an adapter of PEFT's has that and {WEIGHTS}")
    settings = read_json(folder / CONFIG)
    check_settings(folder / CONFIG, settings)
    if not (folder / WEIGHTS).is_file() and any(folder.glob("*.bin")):
        raise CheckpointError(f"{folder} holds pickled weights only, which can run code; save them as safetensors")
    file, base = open_weights(folder / WEIGHTS), settings.get("base_model_name_or_path")
    found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    terms = terms_of(folder, settings, found, config)
    wanted = list(entries(terms, config))
    check_tensors(folder / WEIGHTS, found, wanted, base)
    trainable = tree_of(folder / WEIGHTS, file, wanted, terms, config)
    return Adapter(terms, trainable, encoding_of(folder / BESIDE), base)


def encoding_of(path: Path) -> str | None:
    """The spec in `ropelab.json`; PEFT itself writes no such file."""
    spec = read_json(path).get("encoding") if path.is_file() else None
    if not isinstance(spec, str | None):
        raise CheckpointError(f"{path}: encoding={spec!r} is not the text of a spec")
    return spec


def trained_encoding(directory: str | os.PathLike[str], spec: str) -> Encoding:
    """The encoding that an adapter's `ropelab.json` names.

    Only the catalogue is searched. A file that the text names is never imported: the directory may come from anywhere.

    Raises:
        CheckpointError: for anything but the spec of an encoding of the catalogue.
    """
    try:
        return registry.parse(spec)
    except ValueError as error:
        raise CheckpointError(
            f"{Path(directory) / BESIDE}: {error}. If this is an encoding of your own, plug it in first: "
            'lab.swap("my_encoding.py:Mine(a=1)").adapted(...)'
        ) from None


def check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse what would make the adapted model another one than x W + (alpha / r) (x A) B."""
    if settings.get("peft_type") != "LORA":
        raise CheckpointError(f"{path}: peft_type is {settings.get('peft_type')!r}; 'LORA' alone is read")
    if settings.get("bias", "none") != "none":
        raise CheckpointError(
            f"{path}: bias={settings['bias']!r} trains biases, which are not read; merge it with PEFT"
        )
    begun = settings.get("init_lora_weights")
    if begun not in BASE_AS_IT_WAS:
        why = "changes the base's matrices; save it with PEFT's path_initial_model_for_weight_conversion"
        raise CheckpointError(f"{path}: init_lora_weights={begun!r} {why}")
    for key in sorted(set(settings) - READ - IDLE):
        if settings[key]:
            raise CheckpointError(
                f"{path}: {key}={settings[key]!r} makes another model, and is not read; merge it with PEFT"
            )


def terms_of(folder: Path, settings: Mapping[str, Any], found: Iterable[str], config: LlamaConfig) -> low_rank.Terms:
    """What the tensors and the settings say together."""
    where = str(folder / CONFIG)
    fields: dict[str, Any] = {"rank": whole(where, "r", settings.get("r")) or 0}
    fields["alpha"] = real(where, "lora_alpha", settings.get("lora_alpha"))
    if settings.get("use_rslora"):  # alpha / sqrt(r) is the factor then
        fields["alpha"] *= math.sqrt(fields["rank"])
    fields["targets"] = targets_of(folder / WEIGHTS, settings.get("target_modules"), found)
    fields["also"] = replaced_whole(folder / WEIGHTS, found, config.tied_head)
    try:
        return low_rank.Terms(**fields)
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}") from None


def targets_of(path: Path, stated: Any, found: Iterable[str]) -> tuple[str, ...]:
    """The projections that have tensors; what a list of `target_modules` names must be among them."""
    adapted = {module_of(name.removesuffix(".lora_A.weight")) for name in found if name.endswith(".lora_A.weight")}
    asked = {str(name).rpartition(".")[2] for name in stated} if isinstance(stated, list) else set()
    for module in sorted(asked & set(MODULES.values()) - adapted):
        raise CheckpointError(f"{path}: {module} is among the target_modules, and has no tensors")
    if not adapted & set(MODULES.values()):
        raise CheckpointError(f"{path} adapts none of {', '.join(MODULES.values())}")
    return tuple(name for name, module in MODULES.items() if module in adapted)


def replaced_whole(path: Path, found: Iterable[str], tied: bool) -> tuple[str, ...]:
    """The parameters that are there whole, as `also` names them."""
    embedding, head = (PREFIX + TOP_NAMES[name] in found for name in ("embedding", "head"))
    if tied and embedding != head:
        which, other = ("embedding", "head") if embedding else ("head", "embedding")
        why = f"has the {which} and leaves the {other} as it was, and the two are one table in this model"
        raise CheckpointError(f"{path} {why}; save it with ensure_weight_tying=True, or untie the base")
    norms = any(module_of(name) in NORMS for name in found)
    there = {"embedding": embedding, "norms": norms, "head": head and not tied}
    return tuple(name for name in there if there[name])


def check_tensors(path: Path, found: Mapping[str, tuple[int, ...]], wanted: list[Entry], base: str | None) -> None:
    """Every tensor is there with the right shape, and no other."""
    for name, _, _, shape in wanted:
        if name not in found:
            raise CheckpointError(f"{path}: tensor {name} is missing; the adapter is incomplete, or of a deeper model")
        if found[name] != shape:
            why = f"another rank than {CONFIG} says, or an adapter of a model of other sizes; it names {base!r}"
            raise CheckpointError(f"{path}: tensor {name} has shape {found[name]}, expected {shape}: {why}")
    known = {entry.name for entry in wanted}
    for name in found:
        if name not in known:
            raise CheckpointError(f"{path}: tensor {name} has no place in this model; the adapter names {base!r}")


def tree_of(path: Path, file: Any, wanted: list[Entry], terms: low_rank.Terms, config: LlamaConfig) -> Tree:
    """The tensors in the layout of the model."""
    sizes, tree = shapes(config), {}
    for name, place, layer, shape in wanted:
        values = np.asarray(file.get_tensor(name))
        if not jnp.issubdtype(values.dtype, jnp.floating):
            raise CheckpointError(f"{path}: {name} holds {values.dtype}, not floating-point numbers")
        values = values.astype(np.float32)
        if layer is not None:
            stacked = leaf_shape(place[-1], sizes["layers"], terms.rank)
            leaf = tree.setdefault("layers", {}).setdefault(place[-1], np.empty(stacked, np.float32))
            leaf[layer] = values.reshape(shape[0], -1).T.reshape(stacked[1:])
        elif not np.array_equal(tree.setdefault(place[0], values), values):
            raise CheckpointError(f"{path}: embedding and head differ, and are one table in this model")
    return jax.tree.map(jnp.asarray, tree)


def leaf_shape(name: str, layers: Mapping[str, tuple[int, ...]], rank: int) -> tuple[int, ...]:
    """Of a stacked leaf of what is trained."""
    if name in layers:
        return layers[name]
    return low_rank.factor_shapes(name[:-2], layers[name[:-2]], rank)["ab".index(name[-1])]
