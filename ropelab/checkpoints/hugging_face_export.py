"""A model as the directory that transformers loads: config.json with the rope settings, weights, tokenizer.

The logits of `LlamaForCausalLM` on the directory are those of the model here; what that class cannot compute is
refused before anything is written.
"""

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ropelab.attention.patterns import Causal, Pattern
from ropelab.checkpoints import knobs
from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.hugging_face import WEIGHTS
from ropelab.checkpoints.llama_names import Leaf, as_stored, leaves
from ropelab.checkpoints.safetensors_file import Tensor, write
from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.checkpoints.tokenizer_files import special_ids, write_json, write_tokenizer
from ropelab.checkpoints.whole_folder import whole_folder
from ropelab.encodings.base import Encoding
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.ntk import NTK
from ropelab.models.family import Config
from ropelab.models.llama import LlamaConfig

Tree = Mapping[str, Any]


def export(
    directory: str | os.PathLike[str],
    params: Tree,
    config: Config,
    encoding: Encoding,
    tokenizer: Tokenizer | None = None,
    *,
    pattern: Pattern | None = None,
    context_length: int | None = None,
    version: int | None = None,
) -> Path:
    """Write a model, in the type of its parameters; the directory appears when it is whole.

    Args:
        params: without low-rank terms: `LoRA.merge` makes such.
        pattern: that it is evaluated with; causal if nothing is said.
        context_length: tokens of context that it is meant for, `max_position_embeddings`; its trained length if
            nothing is said, which an encoding that extends it does not change: see `extended_length`.
        version: of transformers, 5 for `rope_parameters` alone, 4 for `rope_theta` and `rope_scaling` alone; both if
            nothing is said.

    Raises:
        CheckpointError: for what transformers' Llama cannot say, parameters that are not of this configuration, or a
            directory that is there already.
    """
    check_model(config, encoding, pattern)
    assert isinstance(config, LlamaConfig)
    settings = settings_of(params, config, encoding, tokenizer, context_length, version)
    check_params(params, config)
    with whole_folder(directory) as folder:
        write(folder / WEIGHTS, list(tensors(params, config)), settings["dtype"])
        if tokenizer is not None:
            write_tokenizer(folder, tokenizer, settings["max_position_embeddings"])
        write_json(folder / "config.json", settings)
    return Path(directory)


def check_model(config: Config, encoding: Encoding, pattern: Pattern | None) -> None:
    """Refuse what no config.json says of a Llama."""
    if not isinstance(config, LlamaConfig):
        raise CheckpointError(f"transformers has no {type(config).__name__.removesuffix('Config')}: keep ropelab's run")
    if config.sink_logits:
        raise CheckpointError("transformers' Llama has no sink_logits: keep ropelab's run")
    if pattern not in (None, Causal()):
        why = "its attention is causal and full. Export with Causal() if it is evaluated so, or keep ropelab's run"
        raise CheckpointError(f"transformers' Llama cannot say {pattern!r}: {why}")
    if len(encoding.unique_encodings()) > 1:
        why = "all its layers have one encoding. Keep ropelab's run"
        raise CheckpointError(f"transformers' Llama cannot say {encoding!r}: {why}")


def check_params(params: Tree, config: LlamaConfig) -> None:
    """Refuse parameters that are not those of a model of this configuration."""
    expected = {leaf.path: leaf.shape for leaf in leaves(config)}
    found = {tuple(key.key for key in path): tuple(x.shape) for path, x in jax.tree.leaves_with_path(dict(params))}
    for path in sorted(expected.keys() | found.keys()):
        name = "/".join(path)
        if path not in expected:
            remedy = "merge the low-rank terms first" if name[-2:] in ("_a", "_b") else "keep ropelab's run"
            raise CheckpointError(f"transformers' Llama has no place for the parameter {name}: {remedy}")
        if found.get(path) != expected[path]:
            raise CheckpointError(
                f"parameter {name} has shape {found.get(path)}, this configuration's {expected[path]}"
            )


def settings_of(
    params: Tree,
    config: LlamaConfig,
    encoding: Encoding,
    tokenizer: Tokenizer | None,
    context_length: int | None,
    version: int | None,
) -> dict[str, Any]:
    """All of config.json."""
    length = context_length or (encoding.original_length if isinstance(encoding, DynamicNTK) else config.trained_length)
    if length < 1:
        raise CheckpointError("nobody knows the trained length of this model: give context_length=")
    if tokenizer is not None and tokenizer.vocabulary > config.vocabulary:
        counts = f"{tokenizer.vocabulary} tokens and the model {config.vocabulary}"
        raise CheckpointError(f"the tokenizer has {counts}: this is not its tokenizer")
    rope = knobs.to_hf(encoding, head_dim=config.head_dim, context_length=length, model_type="llama", version=version)
    dtype = jnp.result_type(*jax.tree.leaves(params)).name
    return {"architectures": ["LlamaForCausalLM"]} | sizes(config) | special_ids(tokenizer) | rope | {"dtype": dtype}


def sizes(config: LlamaConfig) -> dict[str, Any]:
    """The inverse of `hugging_face.llama_config`, but for the length."""
    return {
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.feed_forward,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied_head,
        "attention_bias": config.attention_bias,
        "mlp_bias": config.mlp_bias,
    }


def tensors(params: Tree, config: LlamaConfig) -> Iterator[Tensor]:
    """Every parameter under its Hugging Face name, read a layer at a time."""

    def values(leaf: Leaf, layer: int) -> np.ndarray:
        stacked = params[leaf.path[0]] if len(leaf.path) == 1 else params[leaf.path[0]][leaf.path[1]]
        return as_stored(leaf, np.asarray(stacked if len(leaf.path) == 1 else stacked[layer]))

    for leaf in leaves(config):
        for layer, name in enumerate(leaf.names):
            yield Tensor(name, leaf.stored, partial(values, leaf, layer))


def extended_length(trained_length: int, was: Encoding, now: Encoding) -> int:
    """Tokens of context once `now` is in the place of `was`, under which the weights had `trained_length`.

    An encoding that names its original length reaches `factor` times that; PI and NTK stretch what was there. Dynamic
    NTK has no end: transformers' `max_position_embeddings` is the original length to it.
    """
    if isinstance(now, DynamicNTK):
        return now.original_length
    if now == was:
        return trained_length
    original, factor = getattr(now, "original_length", None), getattr(now, "factor", None)
    if original and factor:
        return round(original * factor)
    return round(trained_length * stretch(now) / stretch(was))


def stretch(encoding: Encoding) -> float:
    """By how much an encoding lengthens the context."""
    return encoding.alpha if isinstance(encoding, NTK) else getattr(encoding, "factor", 1.0)
