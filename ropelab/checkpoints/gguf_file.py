"""A llama.cpp checkpoint: one .gguf file of the llama architecture, its tensors dequantised as they are asked for.

llama.cpp turns neighbouring rows of q and k together, (2i, 2i + 1); its converter has reordered them from the halves
(i, i + r/2) of Hugging Face, head by head, and they are put back here. Formats of 16 and 32 bits are views of the
memory-mapped file, the others are dequantised by the `gguf` package.
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

from ropelab.checkpoints import gguf_tokenizer
from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.gguf_header import Metadata, Stored, read_header
from ropelab.checkpoints.gguf_rope import read_encoding
from ropelab.encodings.base import Encoding
from ropelab.models.llama import LlamaConfig

LAYER_NAMES = {
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
TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
DIVISORS = "rope_freqs.weight"
VIEWS = {
    GGMLQuantizationType.F32: np.float32,
    GGMLQuantizationType.F16: np.float16,
    GGMLQuantizationType.BF16: ml_dtypes.bfloat16,
}
NEUTRAL = {
    "expert_count": (0,),
    "attention.scale": (0.0,),
    "attention.max_alibi_bias": (0.0,),
    "attention.clamp_kqv": (0.0,),
    "logit_scale": (0.0, 1.0),
    "residual_scale": (0.0, 1.0),
    "embedding_scale": (0.0, 1.0),
}


class GgufFile:
    """One .gguf file, read lazily; implements `Source`.

    Raises:
        CheckpointError: if the file is missing, damaged, of another architecture or quantised in an unknown way.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.name = str(path)
        self._data = map_file(self.path)
        metadata, stored = read_header(self.path, self._data)
        check_architecture(metadata)
        for name, s in stored.items():
            check_type(self.path, name, s)
        divisors = stored.pop(DIVISORS, None)
        self._stored = {hugging_face_name(self.path, name): s for name, s in stored.items()}
        self.weights = describe_weights(self.path, stored.values())
        self.shapes: Mapping[str, tuple[int, ...]] = {name: s.shape for name, s in self._stored.items()}
        self.config = read_config(metadata, self.shapes)
        encoding = read_encoding(
            metadata,
            head_dim=self.config.head_dim,
            trained_length=self.config.trained_length,
            divisors=None if divisors is None else self._values(divisors),
        )
        self.encoding: Encoding = encoding
        self._turned = encoding.rotated_dims(self.config.head_dim)
        self.tokenizer = gguf_tokenizer.from_metadata(metadata)

    def tensor(self, name: str) -> np.ndarray:
        """The values of one tensor, rows paired for "half" rotation: float32, float16 or bfloat16."""
        values = self._values(self._stored[name])
        heads = {"q_proj": self.config.heads, "k_proj": self.config.key_heads}.get(name.split(".")[-2])
        if heads is None:
            return values
        if len(values) != heads * self.config.head_dim:
            raise CheckpointError(f"{self.name}: {name} has {len(values)} rows, not {heads} × {self.config.head_dim}")
        return halved(values, heads, self._turned)

    def _values(self, s: Stored) -> np.ndarray:
        packed = self._data[s.start : s.start + s.size]
        if s.type in VIEWS:
            return packed.view(VIEWS[s.type]).reshape(s.shape)
        return dequantize(packed.reshape(quant_shape_to_byte_shape(s.shape, s.type)), s.type)


def describe_weights(path: Path, stored: Iterable[Stored]) -> str:
    """`SmolLM2-135M-Instruct, Q4_1 GGUF`: the file's name, and the type that most of its bytes are of.

    As files are called everywhere: one of Q4_1 has norms in F32, and often its table of embeddings in Q8_0.
    """
    sizes: Counter[str] = Counter()
    for s in stored:
        sizes[s.type.name] += s.size
    most = sizes.most_common(1)[0][0] if sizes else "empty"
    return f"{path.stem.removesuffix(f'.{most}').removesuffix(f'-{most}')}, {most} GGUF"


def map_file(path: Path) -> np.ndarray:
    """The bytes of a file, read when they are touched."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        return np.asarray(np.memmap(path, np.uint8, mode="r"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def check_architecture(metadata: Metadata) -> None:
    """Refuse what a Llama does not compute, and what is not all of one."""
    architecture = metadata.need("general.architecture", str)
    if architecture != "llama":
        raise CheckpointError(
            f"{metadata.path}: the architecture is {architecture!r}; only 'llama' can be loaded "
            "(Llama 1 to 3, Mistral, SmolLM2)"
        )
    parts = metadata.get("split.count", int, 1)
    if parts > 1:
        raise CheckpointError(f"{metadata.path} is one of {parts} parts; join them with `llama-gguf-split --merge`")
    for key, neutral in NEUTRAL.items():
        value = metadata.values.get(f"llama.{key}", neutral[0])
        if not isinstance(value, int | float) or value not in neutral:
            raise CheckpointError(f"{metadata.path}: llama.{key}={value} is not part of a dense Llama")


def hugging_face_name(path: Path, name: str) -> str:
    """`blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`."""
    match = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)", name, re.ASCII)
    layer, part, end = match.groups() if match else (None, "", "")
    known = (TOP_NAMES if layer is None else LAYER_NAMES).get(part)
    if known is None:
        raise CheckpointError(f"{path}: tensor {name!r} has no place in a dense Llama")
    return f"{known}.{end}" if layer is None else f"model.layers.{layer}.{known}.{end}"


def check_type(path: Path, name: str, s: Stored) -> None:
    if not can_decode(s.type):
        raise CheckpointError(
            f"{path}: {name} is of type {s.type.name}, which gguf cannot dequantise; quantise it otherwise"
        )


@functools.cache
def can_decode(kind: GGMLQuantizationType) -> bool:
    """Whether there is a way from this type to floats, tried on a block of zeros."""
    try:
        return kind in VIEWS or dequantize(np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8), kind).size > 0
    except NotImplementedError:
        return False


def read_config(metadata: Metadata, shapes: Mapping[str, tuple[int, ...]]) -> LlamaConfig:
    """The model's sizes; the vocabulary's is that of the embedding table, which may be padded."""
    width, heads = metadata.need("llama.embedding_length", int), metadata.need("llama.attention.head_count", int)
    head_dim = metadata.get("llama.attention.key_length", int, width // max(heads, 1))
    if metadata.get("llama.attention.value_length", int, head_dim) != head_dim:
        raise CheckpointError(f"{metadata.path}: values and keys of different sizes are not part of a Llama")
    embedding = shapes.get("model.embed_tokens.weight")
    if embedding is None:
        raise CheckpointError(f"{metadata.path}: tensor token_embd.weight is missing; the file is incomplete")
    layers, found = metadata.need("llama.block_count", int), len({n.split(".")[2] for n in shapes if ".layers." in n})
    if layers != found:
        raise CheckpointError(
            f"{metadata.path}: llama.block_count is {layers}, but there are tensors of {found} layers"
        )
    length = metadata.need("llama.context_length", int)
    window = metadata.get("llama.attention.sliding_window", int, 0)
    if 0 < window < length:
        raise CheckpointError(
            f"{metadata.path}: a sliding window of {window} is not read; load the Hugging Face directory"
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


def halved(rows: np.ndarray, heads: int, turned: int) -> np.ndarray:
    """Rows of a projection or its bias, the first `turned` of each head from neighbouring pairs to halves."""
    per_head = rows.reshape(heads, -1, *rows.shape[1:])
    parts = (per_head[:, 0:turned:2], per_head[:, 1:turned:2], per_head[:, turned:])
    return np.concatenate(parts, axis=1).reshape(rows.shape)
