"""Tokenizers, and the tokenizer files of Hugging Face directories.

`Tokenizer` wraps Hugging Face's `tokenizers` for vocabularies of any origin. This module reads and writes the files of
a directory, and makes the tokenizer of bytes; `ropelab.checkpoints.gguf.tokenizer` reads the vocabulary of a GGUF.
"""

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Tokenizer as Core
from tokenizers import decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing

from ropelab.checkpoints.files import write_json
from ropelab.errors import CheckpointError

MAX_GROWTH = 256  # of a text by replacements; it is below 10 for known tokenizers
_PRECOMPILED_GROWTH = 16  # assumed for one table of SentencePiece; the longest of NFKC is 18


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """A vocabulary, its special tokens and the chat template.

    Attributes:
        core: splits and merges text, and decodes ids.
        bos_id, eos_id: the tokens that begin and end a text; None if there is none.
        add_bos: whether prompts begin with `bos_id`. `encode` does not add it.
        chat_template: Jinja source; `ropelab.checkpoints.prompts` renders it.
    """

    core: tokenizers.Tokenizer
    bos_id: int | None = None
    eos_id: int | None = None
    add_bos: bool = False
    chat_template: str | None = None

    @property
    def vocabulary(self) -> int:
        """The number of ids."""
        return self.core.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`; special tokens that are spelled in it, like <|im_start|>, are recognized."""
        with _catch_panics("the tokenizer cannot read this text"):
            return self.core.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids` with special tokens; bytes that are not UTF-8 become U+FFFD.

        A vocabulary that adds a space before the text removes one when decoding, so decode the ids of a continuation
        together with those of its prompt.
        """
        with _catch_panics("the tokenizer cannot write these ids"):
            return self.core.decode([int(i) for i in ids], skip_special_tokens=False)


@contextlib.contextmanager
def _catch_panics(what: str) -> Iterator[None]:
    """Convert bare `Exception`s of the library and panics of its Rust code, which are not `Exception`s.

    Panics happen for a subword prefix longer than its token, or a regular expression that backtracks endlessly.

    Raises:
        CheckpointError: for either of them.
    """
    try:
        yield
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        raise CheckpointError(f"{what}: {error}; download tokenizer.json again") from None


def read_tokenizer(folder: str | Path) -> Tokenizer | None:
    """Read the tokenizer of a Hugging Face directory; None if it has no tokenizer.json.

    Raises:
        CheckpointError: for a damaged file, or one with a token that is not in the vocabulary.
    """
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        return None
    core = _read_core(path)
    settings = {
        name: _read_settings(path.with_name(name))
        for name in ("tokenizer_config.json", "generation_config.json", "config.json")
    }
    bos_id, eos_id = (_read_special_id(core, path, settings, kind) for kind in ("bos", "eos"))
    declared = settings["tokenizer_config.json"].get("add_bos_token")
    return Tokenizer(
        core=core,
        bos_id=bos_id,
        eos_id=eos_id,
        add_bos=bos_id is not None and (_begins_with(core, bos_id) if declared is None else declared is True),
        chat_template=_read_chat_template(path.parent, settings["tokenizer_config.json"]),
    )


def _read_core(path: Path) -> tokenizers.Tokenizer:
    """Read a tokenizer.json without its stored truncation and padding."""
    message = f"{path} is not a tokenizer that `tokenizers` can read"
    try:
        with _catch_panics(message):
            core = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{message}: {error}; download it again") from None
    unknown = getattr(core.model, "unk_token", None)
    if unknown is not None and core.model.token_to_id(unknown) is None:
        raise CheckpointError(f"{path}: unk_token {unknown!r} is not in the vocabulary")
    _check_growth(path, core)
    core.no_truncation()
    core.no_padding()
    return core


def _check_growth(path: Path, core: tokenizers.Tokenizer) -> None:
    """Raise if replacements may make a text too long: four times a → a × 1000 exhaust any memory."""
    for part in (core.normalizer, core.decoder):
        grown = 1.0 if part is None else estimate_growth(json.loads(part.__getstate__()))
        if grown > MAX_GROWTH:
            raise CheckpointError(
                f"{path}: its replacements may make a text {grown:.3g} times longer, beyond {MAX_GROWTH}; edit them"
            )


def estimate_growth(step: Any) -> float:
    """Estimate how many times longer a step of a normalizer or decoder, with its inner steps, may make a text."""
    if isinstance(step, list):
        return math.prod(map(estimate_growth, step))
    if not isinstance(step, dict):
        return 1.0
    times = math.prod(estimate_growth(inner) for inner in step.values())
    if step.get("type") == "Precompiled":
        return times * _PRECOMPILED_GROWTH
    if step.get("type") != "Replace":
        return times
    pattern, size = step["pattern"].get("String"), len(step["content"])
    return times * (
        max(size / len(pattern), 1.0) if pattern else 1.0 + size
    )  # other patterns may match between any two letters


def _read_settings(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty if there is no such file."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}; download it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a {type(value).__name__}, not a JSON object; download it again")
    return value


def _read_special_id(
    core: tokenizers.Tokenizer, path: Path, settings: Mapping[str, dict[str, Any]], kind: str
) -> int | None:
    """Read the id of the bos or eos token from tokenizer_config.json, or else from the other files."""
    config = settings["tokenizer_config.json"]
    if f"{kind}_token" in config:
        token = config[f"{kind}_token"]
        token = token.get("content") if isinstance(token, dict) else token
        if token is None:
            return None
        found = core.token_to_id(token) if isinstance(token, str) and _is_valid_text(token) else None
        if found is None:
            raise CheckpointError(f"{path}: {kind}_token {token!r} of tokenizer_config.json is not in the vocabulary")
        return found
    for name in ("generation_config.json", "config.json"):
        value = settings[name].get(f"{kind}_token_id")
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, int) and 0 <= value < core.get_vocab_size():
            return value
    return None


def _is_valid_text(token: str) -> bool:
    """Return whether a string from JSON can be in a vocabulary; half of a surrogate pair cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in token)


def _begins_with(core: tokenizers.Tokenizer, bos_id: int) -> bool:
    """Return whether the post-processor in tokenizer.json adds `bos_id` first."""
    with _catch_panics("the tokenizer cannot read an empty text"):
        return core.encode("", add_special_tokens=True).ids[:1] == [bos_id]


def _read_chat_template(folder: Path, named: Mapping[str, Any]) -> str | None:
    """Read chat_template.jinja or the template in tokenizer_config.json; if there are several, the "default" one."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8", errors="replace")
    template = named.get("chat_template")
    if isinstance(template, list):
        choices = [t.get("template") for t in template if isinstance(t, dict) and t.get("name") == "default"]
        template = choices[0] if choices else None
    return template if isinstance(template, str) else None


_TOKENIZER_CLASS = (
    "PreTrainedTokenizerFast"  # uses tokenizer.json unchanged; a Llama's class would rebuild its pre-tokenizer
)


def write_tokenizer(folder: Path, tokenizer: Tokenizer, context_length: int) -> None:
    """Write the files of a tokenizer; `read_tokenizer` reads the same one back."""
    core = _set_bos_policy(tokenizer)
    core.save(str(folder / "tokenizer.json"))
    settings: dict[str, Any] = {
        "tokenizer_class": _TOKENIZER_CLASS,
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": tokenizer.add_bos,
    }
    for kind, number in (("bos", tokenizer.bos_id), ("eos", tokenizer.eos_id)):
        # transformers would treat the letter of a plain token as special everywhere in a text.
        if number is None or number in tokenizer.core.get_added_tokens_decoder():
            settings[f"{kind}_token"] = _token_text(tokenizer, number)
    if tokenizer.chat_template is not None:
        settings["chat_template"] = tokenizer.chat_template
    write_json(folder / "tokenizer_config.json", settings)
    if tokenizer.eos_id is not None:
        write_json(folder / "generation_config.json", special_token_ids(tokenizer))


def _set_bos_policy(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """Return the core with a post-processor that adds `bos_id` according to `add_bos`.

    A GGUF states this next to its vocabulary; transformers reads only the post-processor.
    """
    core = tokenizers.Tokenizer.from_str(tokenizer.core.to_str())
    bos_id, bos = tokenizer.bos_id, _token_text(tokenizer, tokenizer.bos_id)
    if bos_id is None or _begins_with(core, bos_id) == tokenizer.add_bos:
        return core
    core.post_processor = (  # pyright: ignore[reportAttributeAccessIssue]
        TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B:1", special_tokens=[(bos, bos_id)])
        if tokenizer.add_bos
        else None
    )
    return core


def _token_text(tokenizer: Tokenizer, number: int | None) -> str | None:
    """Return the text of a special token."""
    return None if number is None else tokenizer.core.id_to_token(number)


def special_token_ids(tokenizer: Tokenizer | None) -> dict[str, int | None]:
    """Return the ids for a configuration; null if there are none, because transformers' Llama defaults to 1 and 2."""
    return {
        "bos_token_id": None if tokenizer is None else tokenizer.bos_id,
        "eos_token_id": None if tokenizer is None else tokenizer.eos_id,
    }


_END_BYTE = 0
_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))  # written as themselves


def make_byte_tokenizer() -> Tokenizer:
    """Make the tokenizer of bytes: id b is byte b of the UTF-8 text, and byte 0 ends a text.

    A model of bytes is then used like any other model. There are no special tokens: every token is a byte.
    """
    core = Core(models.BPE({letter: byte for byte, letter in enumerate(_byte_letters())}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)  # pyright: ignore
    core.decoder = decoders.ByteLevel()  # pyright: ignore
    return Tokenizer(core, eos_id=_END_BYTE)


def _byte_letters() -> list[str]:
    """Return the letter of GPT-2's alphabet for each byte: itself, or the next one from U+0100 on."""
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in _PRINTABLE else chr(next(others)) for byte in range(256)]
