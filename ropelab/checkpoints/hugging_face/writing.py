"""Export to directories that transformers loads: config.json with the rope settings, weights and tokenizer.

`LlamaForCausalLM` returns the same logits for the directory as the model here. If that class cannot compute them, an
error is raised before anything is written.
"""

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ropelab import rope_settings
from ropelab.attention.patterns import Causal, Pattern
from ropelab.checkpoints.files import LazyTensor, atomic_directory, write_json, write_safetensors
from ropelab.checkpoints.hugging_face.names import Leaf, list_leaves, to_stored
from ropelab.checkpoints.hugging_face.reading import WEIGHTS_FILE
from ropelab.checkpoints.tokenizer import Tokenizer, special_token_ids, write_tokenizer
from ropelab.encodings.base import Encoding
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.ntk import NTK
from ropelab.errors import CheckpointError
from ropelab.models.family import Config
from ropelab.models.llama import LlamaConfig

_Tree = Mapping[str, Any]


def export(
    directory: str | os.PathLike[str],
    params: _Tree,
    config: Config,
    encoding: Encoding,
    tokenizer: Tokenizer | None = None,
    *,
    pattern: Pattern | None = None,
    context_length: int | None = None,
    version: int | None = None,
) -> Path:
    """Write a model in the dtype of its parameters; the directory is written atomically.

    Args:
        params: parameters without low-rank terms, see `LoRA.merge`.
        pattern: the attention pattern; causal by default.
        context_length: written as `max_position_embeddings`; the trained length by default, even for an encoding that
            extends it, see `extend_length`.
        version: 5 writes only `rope_parameters`, 4 only `rope_theta` and `rope_scaling`, None both.

    Raises:
        CheckpointError: for a model that transformers' Llama cannot express, parameters of another configuration, or a
            directory that exists.
    """
    _check_model(config, encoding, pattern)
    assert isinstance(config, LlamaConfig)
    settings = _write_config(params, config, encoding, tokenizer, context_length, version)
    _check_params(params, config)
    with atomic_directory(directory) as folder:
        write_safetensors(folder / WEIGHTS_FILE, list(_list_tensors(params, config)), settings["dtype"])
        if tokenizer is not None:
            write_tokenizer(folder, tokenizer, settings["max_position_embeddings"])
        write_json(folder / "config.json", settings)
    return Path(directory)


def _check_model(config: Config, encoding: Encoding, pattern: Pattern | None) -> None:
    """Raise for models that the config.json of a Llama cannot express."""
    if not isinstance(config, LlamaConfig):
        raise CheckpointError(f"transformers has no {type(config).__name__.removesuffix('Config')}; keep ropelab's run")
    if config.sink_logits:
        raise CheckpointError("transformers' Llama has no sink_logits; keep ropelab's run")
    if pattern not in (None, Causal()):
        why = "its attention is causal and full. Export with Causal() if you evaluate with it, or keep ropelab's run"
        raise CheckpointError(f"transformers' Llama cannot express {pattern!r}: {why}")
    if len(encoding.unique_encodings()) > 1:
        why = "all its layers have the same encoding. Keep ropelab's run"
        raise CheckpointError(f"transformers' Llama cannot express {encoding!r}: {why}")


def _check_params(params: _Tree, config: LlamaConfig) -> None:
    """Raise for parameters that do not belong to this configuration."""
    expected = {leaf.path: leaf.shape for leaf in list_leaves(config)}
    found = {tuple(key.key for key in path): tuple(x.shape) for path, x in jax.tree.leaves_with_path(dict(params))}
    for path in sorted(expected.keys() | found.keys()):
        name = "/".join(path)
        if path not in expected:
            remedy = "merge the low-rank terms first" if name[-2:] in ("_a", "_b") else "keep ropelab's run"
            raise CheckpointError(f"transformers' Llama has no place for the parameter {name}: {remedy}")
        if found.get(path) != expected[path]:
            raise CheckpointError(
                f"parameter {name} has shape {found.get(path)}, not {expected[path]} as in the configuration"
            )


def _write_config(
    params: _Tree,
    config: LlamaConfig,
    encoding: Encoding,
    tokenizer: Tokenizer | None,
    context_length: int | None,
    version: int | None,
) -> dict[str, Any]:
    """Return the contents of config.json."""
    length = context_length or (encoding.original_length if isinstance(encoding, DynamicNTK) else config.trained_length)
    if length < 1:
        raise CheckpointError("the trained length of this model is unknown; set context_length=")
    if tokenizer is not None and tokenizer.vocabulary > config.vocabulary:
        counts = f"{tokenizer.vocabulary} tokens and the model {config.vocabulary}"
        raise CheckpointError(f"the tokenizer has {counts}; use the tokenizer of this model")
    rope = rope_settings.to_hf(
        encoding, head_dim=config.head_dim, context_length=length, model_type="llama", version=version
    )
    dtype = jnp.result_type(*jax.tree.leaves(params)).name
    return (
        {"architectures": ["LlamaForCausalLM"]}
        | _write_sizes(config)
        | special_token_ids(tokenizer)
        | rope
        | {"dtype": dtype}
    )


def _write_sizes(config: LlamaConfig) -> dict[str, Any]:
    """Return the keys of the sizes: the inverse of `reading.read_config`, except for the length."""
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


def _list_tensors(params: _Tree, config: LlamaConfig) -> Iterator[LazyTensor]:
    """List the parameters under their Hugging Face names; values are read one layer at a time."""

    def values(leaf: Leaf, layer: int) -> np.ndarray:
        stacked = params[leaf.path[0]] if len(leaf.path) == 1 else params[leaf.path[0]][leaf.path[1]]
        return to_stored(leaf, np.asarray(stacked if len(leaf.path) == 1 else stacked[layer]))

    for leaf in list_leaves(config):
        for layer, name in enumerate(leaf.names):
            yield LazyTensor(name, leaf.stored, partial(values, leaf, layer))


def extend_length(trained_length: int, was: Encoding, now: Encoding) -> int:
    """Return the context length after the encoding `now` replaces `was`, with which `trained_length` was trained.

    An encoding with an original length extends it by `factor`; PI and NTK extend `trained_length`. Dynamic NTK has no
    maximum; transformers expects its original length as `max_position_embeddings`.
    """
    if isinstance(now, DynamicNTK):
        return now.original_length
    if now == was:
        return trained_length
    original, factor = getattr(now, "original_length", None), getattr(now, "factor", None)
    if original and factor:
        return round(original * factor)
    return round(trained_length * _extension_factor(now) / _extension_factor(was))


def _extension_factor(encoding: Encoding) -> float:
    """Return the factor by which an encoding extends the context."""
    return encoding.alpha if isinstance(encoding, NTK) else getattr(encoding, "factor", 1.0)
