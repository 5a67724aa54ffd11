"""The vocabulary inside a GGUF → a tokenizer with llama.cpp's ids.

`tokenizer.ggml.model` is "gpt2" for byte-level byte-pair merges and "llama" for SentencePiece's: there the file has no
merges but a score per piece, and the pair whose union scores highest is merged first, of equals the left one.
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

from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.gguf_header import Metadata
from ropelab.checkpoints.gguf_splits import CUTS, Cut
from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.spec import suggest_name

PREFIX = "tokenizer.ggml."
SPACE = "▁"
WRITTEN_OUT = (TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNKNOWN)
MERGED = (TokenType.NORMAL, TokenType.UNUSED)


def from_metadata(metadata: Metadata) -> Tokenizer | None:
    """The tokenizer of a file, None if it carries none.

    Raises:
        CheckpointError: for a kind of tokenizer or of splitting that is not known, or a damaged vocabulary.
    """
    kind = metadata.get(PREFIX + "model", str, "none")
    if kind in ("none", "no_vocab"):
        return None
    if kind not in ("gpt2", "llama"):
        raise CheckpointError(f"{metadata.path}: tokenizer {kind!r} is not read; only 'gpt2' and 'llama' are")
    tokens = read_tokens(metadata)
    types = read_types(metadata, tokens)
    cut = cut_of(metadata) if kind == "gpt2" else None
    try:
        core = byte_level(metadata, tokens, cut) if cut else sentencepiece(metadata, tokens, types)
        core.add_tokens(written_out(tokens, types))
    except CheckpointError:
        raise
    except Exception as error:  # the library raises bare Exception, for a merge of unknown tokens for instance
        raise CheckpointError(
            f"{metadata.path}: the vocabulary is damaged ({error}); convert the model again"
        ) from None
    bos_id = special_id(metadata, "bos_token_id", None if cut else 1, len(tokens))
    eos_id = special_id(metadata, "eos_token_id", None if cut else 2, len(tokens))
    add_bos = metadata.get(PREFIX + "add_bos_token", bool, cut.add_bos if cut else True) and bos_id is not None
    return Tokenizer(core, bos_id, eos_id, add_bos, metadata.get("tokenizer.chat_template", str, "") or None)


def special_id(metadata: Metadata, key: str, default: int | None, count: int) -> int | None:
    """The id under `key`, or the default of SentencePiece files, which name only what is unusual."""
    if default is None and PREFIX + key not in metadata:
        return None
    value = metadata.get(PREFIX + key, int, default or 0)
    if not 0 <= value < count:
        raise CheckpointError(f"{metadata.path}: {PREFIX}{key}={value} is outside the vocabulary of {count}")
    return value


def written_out(tokens: Sequence[str], types: Sequence[float]) -> list[AddedToken]:
    """The tokens that stand for themselves wherever their letters occur in a text."""
    return [
        AddedToken(token, normalized=False, special=kind != TokenType.USER_DEFINED)
        for token, kind in zip(tokens, types, strict=True)
        if kind in WRITTEN_OUT
    ]


def read_tokens(metadata: Metadata) -> list[str]:
    """The vocabulary by id; llama.cpp's names for empty tokens, so that every id has its own."""
    tokens = [t or f"[EMPTY_{i}]" for i, t in enumerate(metadata.need(PREFIX + "tokens", list))]
    token, times = Counter(tokens).most_common(1)[0] if tokens else ("", 1)
    if times > 1:
        raise CheckpointError(f"{metadata.path}: token {token!r} has {times} ids; convert the model again")
    return tokens


def read_types(metadata: Metadata, tokens: Sequence[str]) -> list[float]:
    """The kind of every token, normal if the file does not say."""
    return (
        read_array(metadata, "token_type", tokens)
        if PREFIX + "token_type" in metadata
        else [TokenType.NORMAL] * len(tokens)
    )


def read_array(metadata: Metadata, key: str, tokens: Sequence[str]) -> list[float]:
    """One number per token."""
    values = metadata.values.get(PREFIX + key)
    if not isinstance(values, np.ndarray) or len(values) != len(tokens):
        raise CheckpointError(f"{metadata.path}: {PREFIX}{key} must hold a number for each of {len(tokens)} tokens")
    return values.tolist()


def cut_of(metadata: Metadata) -> Cut:
    """How a byte-level vocabulary wants its text cut."""
    name = metadata.get(PREFIX + "pre", str, "")
    if not name:
        warnings.warn(
            f"{metadata.path} does not say how to split text ({PREFIX}pre); taking llama.cpp's default", stacklevel=2
        )
    if name and name not in CUTS:
        raise CheckpointError(
            f"{metadata.path}: unknown {PREFIX}pre {name!r}.{suggest_name(name, CUTS)} Known: {', '.join(CUTS)}. "
            "Load the Hugging Face directory instead"
        )
    return CUTS[name or "default"]


def byte_level(metadata: Metadata, tokens: Sequence[str], cut: Cut) -> Core:
    """Byte-pair merges over bytes, each byte written as one printable letter (GPT-2's alphabet)."""
    merges = [split_merge(metadata, merge) for merge in metadata.need(PREFIX + "merges", list)]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    core = Core(models.BPE(vocabulary, merges, ignore_merges=cut.whole_words))
    splits = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in cut.expressions]
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    core.decoder = decoders.ByteLevel()
    return core


def split_merge(metadata: Metadata, merge: str) -> tuple[str, str]:
    """`"Ġ t"` → `("Ġ", "t")`; the first letter may itself be a space."""
    at = merge.find(" ", 1)
    if at < 0:
        raise CheckpointError(f"{metadata.path}: {merge!r} is not a pair of tokens; convert the model again")
    return merge[:at], merge[at + 1 :]


def sentencepiece(metadata: Metadata, tokens: Sequence[str], types: Sequence[float]) -> Core:
    """SentencePiece's merges over characters; what is not in the vocabulary is spelt in bytes, or is unknown.

    As in llama.cpp and in the models' tokenizer.json, a space is put before the text and after every special token.
    """
    scores = read_array(metadata, "scores", tokens)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    unknown = metadata.get(PREFIX + "unknown_token_id", int, 0)
    core = Core(
        models.BPE(
            vocabulary,
            merges_by_score(tokens, types, scores),
            unk_token=tokens[unknown] if 0 <= unknown < len(tokens) else None,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    prefixed = metadata.get(PREFIX + "add_space_prefix", bool, True)
    spaces = normalizers.Replace(" ", SPACE)
    core.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), spaces]) if prefixed else spaces
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    core.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefixed else steps)
    return core


def merges_by_score(tokens: Sequence[str], types: Sequence[float], scores: Sequence[float]) -> list[tuple[str, str]]:
    """Every way to put a piece together from two others, the best pieces first.

    A piece is cut only where both halves have the length of some piece: one of 300,000 letters has few such places.
    """
    pieces = {token: score for token, kind, score in zip(tokens, types, scores, strict=True) if kind in MERGED}
    lengths = {len(piece) for piece in pieces}
    ascending, merges = sorted(lengths), []
    for piece in sorted(pieces, key=pieces.__getitem__, reverse=True):
        size = len(piece)
        halves = ((piece[:i], piece[i:]) for i in takewhile(size.__gt__, ascending) if size - i in lengths)
        merges += [(left, right) for left, right in halves if left in pieces and right in pieces]
    return merges
