"""llama.cpp checkpoints: .gguf files of the llama architecture, whose tensors are dequantized on access.

llama.cpp rotates adjacent rows of q and k, (2i, 2i + 1). Its converter reorders them from the halves (i, i + r/2) of
Hugging Face, head by head, which is reverted here. Formats of 16 and 32 bits are views of the memory-mapped file, all
others are dequantized by the `gguf` package.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quant_shape_to_byte_shape

from ropelab.checkpoints.gguf import tokenizer
from ropelab.checkpoints.gguf.header import Metadata, TensorInfo, read_header
from ropelab.encodings.base import Encoding
from ropelab.errors import CheckpointError
from ropelab.models.llama import LlamaConfig
from ropelab.rope_settings.gguf import read_encoding

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_DIVISORS = "rope_freqs.weight"
_VIEW_DTYPES = {
    GGMLQuantizationType.F32: np.float32,
    GGMLQuantizationType.F16: np.float16,
    GGMLQuantizationType.BF16: ml_dtypes.bfloat16,
}
_NEUTRAL_VALUES = {
    "expert_count": (0,),
    "attention.scale": (0.0,),
    "attention.max_alibi_bias": (0.0,),
    "attention.clamp_kqv": (0.0,),
    "logit_scale": (0.0, 1.0),
    "residual_scale": (0.0, 1.0),
    "embedding_scale": (0.0, 1.0),
}


class GgufFile:
    """A .gguf file, read lazily; implements `Source`.

    Raises:
        CheckpointError: if the file is missing, damaged, of another architecture or has an unknown quantization.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.name = str(path)
        self._data = _map_file(self.path)
        metadata, stored = read_header(self.path, self._data)
        _check_architecture(metadata)
        for name, s in stored.items():
            _check_type(self.path, name, s)
        divisors = stored.pop(_DIVISORS, None)
        self._stored = {_hugging_face_name(self.path, name): s for name, s in stored.items()}
        self.weights = _describe_weights(self.path, stored.values())
        self.shapes: Mapping[str, tuple[int, ...]] = {name: s.shape for name, s in self._stored.items()}
        self.config = _read_config(metadata, self.shapes)
        encoding = read_encoding(
            metadata,
            head_dim=self.config.head_dim,
            trained_length=self.config.trained_length,
            divisors=None if divisors is None else self._values(divisors),
        )
        self.encoding: Encoding = encoding
        self._turned = encoding.rotated_dims(self.config.head_dim)
        self.tokenizer = tokenizer.read_tokenizer(metadata)

    def tensor(self, name: str) -> np.ndarray:
        """Return the values of a tensor, rows paired for "half" rotation: float32, float16 or bfloat16."""
        values = self._values(self._stored[name])
        heads = {"q_proj": self.config.heads, "k_proj": self.config.key_heads}.get(name.split(".")[-2])
        if heads is None:
            return values
        if len(values) != heads * self.config.head_dim:
            raise CheckpointError(f"{self.name}: {name} has {len(values)} rows, not {heads} × {self.config.head_dim}")
        return _pairs_to_halves(values, heads, self._turned)

    def _values(self, s: TensorInfo) -> np.ndarray:
        packed = self._data[s.start : s.start + s.size]
        if s.type in _VIEW_DTYPES:
            return packed.view(_VIEW_DTYPES[s.type]).reshape(s.shape)
        return dequantize(packed.reshape(quant_shape_to_byte_shape(s.shape, s.type)), s.type)


def _describe_weights(path: Path, stored: Iterable[TensorInfo]) -> str:
    """Describe the weights by the name of the file and the type of most bytes: `SmolLM2-135M-Instruct, Q4_1 GGUF`.

    This is the usual name: a Q4_1 file has norms in F32, and often its embeddings in Q8_0.
    """
    sizes: Counter[str] = Counter()
    for s in stored:
        sizes[s.type.name] += s.size
    most = sizes.most_common(1)[0][0] if sizes else "empty"
    return f"{path.stem.removesuffix(f'.{most}').removesuffix(f'-{most}')}, {most} GGUF"


def _map_file(path: Path) -> np.ndarray:
    """Memory-map the bytes of a file."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        return np.asarray(np.memmap(path, np.uint8, mode="r"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def _check_architecture(metadata: Metadata) -> None:
    """Raise for other architectures, parts of split files, and settings that a Llama does not have."""
    architecture = metadata.need("general.architecture", str)
    if architecture != "llama":
        raise CheckpointError(
            f"{metadata.path}: architecture {architecture!r} is not supported; use a 'llama' model "
            "(Llama 1 to 3, Mistral, SmolLM2)"
        )
    parts = metadata.get("split.count", int, 1)
    if parts > 1:
        raise CheckpointError(f"{metadata.path} is one of {parts} parts; join them with `llama-gguf-split --merge`")
    for key, neutral in _NEUTRAL_VALUES.items():
        value = metadata.values.get(f"llama.{key}", neutral[0])
        if not isinstance(value, int | float) or value not in neutral:
            raise CheckpointError(f"{metadata.path}: llama.{key}={value} is not part of a dense Llama")


def _hugging_face_name(path: Path, name: str) -> str:
    """Convert a name: `blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`."""
    match = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)", name, re.ASCII)
    layer, part, end = match.groups() if match else (None, "", "")
    known = (_TOP_NAMES if layer is None else _LAYER_NAMES).get(part)
    if known is None:
        raise CheckpointError(f"{path}: tensor {name!r} has no place in a dense Llama")
    return f"{known}.{end}" if layer is None else f"model.layers.{layer}.{known}.{end}"


def _check_type(path: Path, name: str, s: TensorInfo) -> None:
    """Raise for a quantization type that cannot be dequantized."""
    if not _can_decode(s.type):
        raise CheckpointError(
            f"{path}: {name} has type {s.type.name}, which gguf cannot dequantize; use another quantization"
        )


@functools.cache
def _can_decode(kind: GGMLQuantizationType) -> bool:
    """Return whether a type can be dequantized, which is tried on a block of zeros."""
    try:
        return kind in _VIEW_DTYPES or dequantize(np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8), kind).size > 0
    except NotImplementedError:
        return False


def _read_config(metadata: Metadata, shapes: Mapping[str, tuple[int, ...]]) -> LlamaConfig:
    """Read the model's sizes; the vocabulary size is that of the embedding table, which may be padded."""
    width, heads = metadata.need("llama.embedding_length", int), metadata.need("llama.attention.head_count", int)
    head_dim = metadata.get("llama.attention.key_length", int, width // max(heads, 1))
    if metadata.get("llama.attention.value_length", int, head_dim) != head_dim:
        raise CheckpointError(
            f"{metadata.path}: value_length differs from key_length={head_dim}, which a Llama does not have"
        )
    embedding = shapes.get("model.embed_tokens.weight")
    if embedding is None:
        raise CheckpointError(f"{metadata.path}: tensor token_embd.weight is missing; the file is incomplete")
    layers, found = metadata.need("llama.block_count", int), len({n.split(".")[2] for n in shapes if ".layers." in n})
    if layers != found:
        raise CheckpointError(
            f"{metadata.path}: llama.block_count is {layers}, but the file has tensors of {found} layers"
        )
    length = metadata.need("llama.context_length", int)
    window = metadata.get("llama.attention.sliding_window", int, 0)
    if 0 < window < length:
        raise CheckpointError(
            f"{metadata.path}: sliding_window={window} is not supported; load the Hugging Face directory"
        )
    try:
        return LlamaConfig(
            vocabulary=embedding[0],
            width=width,
            layers=layers,
            heads=heads,
            key_heads=metadata.get("llama.attention.head_count_kv", int, heads),
            head_dim=head_dim,
            feed_forward=metadata.need("llama.feed_forward_length", int),
            norm_eps=metadata.need("llama.attention.layer_norm_rms_epsilon", float),
            trained_length=metadata.get("llama.rope.scaling.original_context_length", int, length) or length,
            tied_head="lm_head.weight" not in shapes,
            attention_bias="model.layers.0.self_attn.q_proj.bias" in shapes,
            mlp_bias="model.layers.0.mlp.gate_proj.bias" in shapes,
        )
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{metadata.path}: {error}") from None


def _pairs_to_halves(rows: np.ndarray, heads: int, turned: int) -> np.ndarray:
    """Reorder the first `turned` rows of each head, of a projection or its bias, from adjacent pairs to halves."""
    per_head = rows.reshape(heads, -1, *rows.shape[1:])
    parts = (per_head[:, 0:turned:2], per_head[:, 1:turned:2], per_head[:, turned:])
    return np.concatenate(parts, axis=1).reshape(rows.shape)
