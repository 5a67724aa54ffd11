"""Tokenizers from the vocabulary of a GGUF, with llama.cpp's ids.

`tokenizer.ggml.model` is "gpt2" for byte-level byte-pair merges and "llama" for SentencePiece. The latter has no merges
but a score per piece: the pair whose union has the highest score is merged first, and the left one if scores are equal.
Source: ggml-org/llama.cpp 00ad355, src/llama-vocab.cpp.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

import numpy as np
from gguf import TokenType
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Core

from ropelab.checkpoints.gguf.header import Metadata
from ropelab.checkpoints.gguf.splits import PRE_TOKENIZERS, PreTokenizer
from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.errors import CheckpointError
from ropelab.spec import suggest_name

_PREFIX = "tokenizer.ggml."
_SPACE = "▁"
_SPECIAL_TYPES = (TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNKNOWN)
_MERGEABLE_TYPES = (TokenType.NORMAL, TokenType.UNUSED)


def read_tokenizer(metadata: Metadata) -> Tokenizer | None:
    """Read the tokenizer of a file; None if it has none.

    Raises:
        CheckpointError: for an unknown tokenizer or pre-tokenizer, or a damaged vocabulary.
    """
    kind = metadata.get(_PREFIX + "model", str, "none")
    if kind in ("none", "no_vocab"):
        return None
    if kind not in ("gpt2", "llama"):
        raise CheckpointError(f"{metadata.path}: tokenizer {kind!r} is not supported; use 'gpt2' or 'llama'")
    tokens = _read_tokens(metadata)
    types = _read_types(metadata, tokens)
    cut = _select_pre_tokenizer(metadata) if kind == "gpt2" else None
    try:
        core = _build_byte_level(metadata, tokens, cut) if cut else _build_sentencepiece(metadata, tokens, types)
        core.add_tokens(_special_tokens(tokens, types))
    except CheckpointError:
        raise
    except Exception as error:  # the library raises bare Exception, for example for a merge of unknown tokens
        raise CheckpointError(
            f"{metadata.path}: the vocabulary is damaged ({error}); convert the model again"
        ) from None
    bos_id = _read_special_id(metadata, "bos_token_id", None if cut else 1, len(tokens))
    eos_id = _read_special_id(metadata, "eos_token_id", None if cut else 2, len(tokens))
    add_bos = metadata.get(_PREFIX + "add_bos_token", bool, cut.add_bos if cut else True) and bos_id is not None
    return Tokenizer(core, bos_id, eos_id, add_bos, metadata.get("tokenizer.chat_template", str, "") or None)


def _read_special_id(metadata: Metadata, key: str, default: int | None, count: int) -> int | None:
    """Read the id of a special token; SentencePiece files state only ids that differ from the default."""
    if default is None and _PREFIX + key not in metadata:
        return None
    value = metadata.get(_PREFIX + key, int, default or 0)
    if not 0 <= value < count:
        raise CheckpointError(f"{metadata.path}: {_PREFIX}{key}={value} is outside the vocabulary of {count}")
    return value


def _special_tokens(tokens: Sequence[str], types: Sequence[float]) -> list[AddedToken]:
    """List the tokens that are recognized when they are spelled in a text."""
    return [
        AddedToken(token, normalized=False, special=kind != TokenType.USER_DEFINED)
        for token, kind in zip(tokens, types, strict=True)
        if kind in _SPECIAL_TYPES
    ]


def _read_tokens(metadata: Metadata) -> list[str]:
    """Read the vocabulary by id; empty tokens get llama.cpp's names, so that names are unique."""
    tokens = [t or f"[EMPTY_{i}]" for i, t in enumerate(metadata.need(_PREFIX + "tokens", list))]
    token, times = Counter(tokens).most_common(1)[0] if tokens else ("", 1)
    if times > 1:
        raise CheckpointError(f"{metadata.path}: token {token!r} has {times} ids; convert the model again")
    return tokens


def _read_types(metadata: Metadata, tokens: Sequence[str]) -> list[float]:
    """Read the type of each token; normal if the file has none."""
    return (
        _read_array(metadata, "token_type", tokens)
        if _PREFIX + "token_type" in metadata
        else [TokenType.NORMAL] * len(tokens)
    )


def _read_array(metadata: Metadata, key: str, tokens: Sequence[str]) -> list[float]:
    """Read an array with one number per token."""
    values = metadata.values.get(_PREFIX + key)
    if not isinstance(values, np.ndarray) or len(values) != len(tokens):
        raise CheckpointError(f"{metadata.path}: {_PREFIX}{key} must have a number for each of {len(tokens)} tokens")
    return values.tolist()


def _select_pre_tokenizer(metadata: Metadata) -> PreTokenizer:
    """Select the pre-tokenizer of a byte-level vocabulary."""
    name = metadata.get(_PREFIX + "pre", str, "")
    if not name:
        warnings.warn(
            f"{metadata.path} does not state its pre-tokenizer ({_PREFIX}pre); using llama.cpp's default", stacklevel=2
        )
    if name and name not in PRE_TOKENIZERS:
        raise CheckpointError(
            f"{metadata.path}: unknown {_PREFIX}pre {name!r}.{suggest_name(name, PRE_TOKENIZERS)} "
            f"Known: {', '.join(PRE_TOKENIZERS)}. Load the Hugging Face directory instead"
        )
    return PRE_TOKENIZERS[name or "default"]


def _build_byte_level(metadata: Metadata, tokens: Sequence[str], cut: PreTokenizer) -> Core:
    """Build byte-pair merges over bytes, with each byte as one printable letter (GPT-2's alphabet)."""
    merges = [_split_merge(metadata, merge) for merge in metadata.need(_PREFIX + "merges", list)]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    core = Core(models.BPE(vocabulary, merges, ignore_merges=cut.whole_words))
    splits = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in cut.expressions]
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    core.decoder = decoders.ByteLevel()
    return core


def _split_merge(metadata: Metadata, merge: str) -> tuple[str, str]:
    """Split `"Ġ t"` into `("Ġ", "t")`; the first letter may be a space."""
    at = merge.find(" ", 1)
    if at < 0:
        raise CheckpointError(f"{metadata.path}: {merge!r} is not a pair of tokens; convert the model again")
    return merge[:at], merge[at + 1 :]


def _build_sentencepiece(metadata: Metadata, tokens: Sequence[str], types: Sequence[float]) -> Core:
    """Build SentencePiece's merges over characters, with a fallback to bytes or the unknown token.

    As in llama.cpp and in the models' tokenizer.json, a space is added before the text and after each special token.
    """
    scores = _read_array(metadata, "scores", tokens)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    unknown = metadata.get(_PREFIX + "unknown_token_id", int, 0)
    core = Core(
        models.BPE(
            vocabulary,
            list_merges(tokens, types, scores),
            unk_token=tokens[unknown] if 0 <= unknown < len(tokens) else None,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    prefixed = metadata.get(_PREFIX + "add_space_prefix", bool, True)
    spaces = normalizers.Replace(" ", _SPACE)
    core.normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), spaces]) if prefixed else spaces
    steps = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    core.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefixed else steps)
    return core


def list_merges(tokens: Sequence[str], types: Sequence[float], scores: Sequence[float]) -> list[tuple[str, str]]:
    """List all pairs of pieces whose union is a piece, ordered by the score of the union.

    Only halves with the length of some piece are tried, which keeps a piece of 300,000 letters fast.
    """
    pieces = {
        token: score for token, kind, score in zip(tokens, types, scores, strict=True) if kind in _MERGEABLE_TYPES
    }
    lengths = {len(piece) for piece in pieces}
    ascending, merges = sorted(lengths), []
    for piece in sorted(pieces, key=pieces.__getitem__, reverse=True):
        size = len(piece)
        halves = ((piece[:i], piece[i:]) for i in takewhile(size.__gt__, ascending) if size - i in lengths)
        merges += [(left, right) for left, right in halves if left in pieces and right in pieces]
    return merges
