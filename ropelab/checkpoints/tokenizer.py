"""Text ⇄ token ids.

One class around Hugging Face's `tokenizers`, whatever the vocabulary came from, and its reader for a Hugging Face
directory; `gguf_tokenizer` has the one for GGUF.
"""

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tokenizers

from ropelab.checkpoints.errors import CheckpointError

MOST_GROWTH = 256  # of a text by replacements; that of the known tokenizers is below 10
PRECOMPILED_GROWTH = 16  # assumed of one table of SentencePiece's; NFKC's longest is 18


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """A vocabulary, and how its checkpoint wants it used.

    Attributes:
        core: splitting, merging and their inverse.
        bos_id, eos_id: the tokens that begin and end a text; None if there is none.
        add_bos: the checkpoint's own policy: prompts begin with `bos_id`. `encode` leaves that to its caller.
        chat_template: Jinja source, never rendered here.
    """

    core: tokenizers.Tokenizer
    bos_id: int | None = None
    eos_id: int | None = None
    add_bos: bool = False
    chat_template: str | None = None

    @property
    def vocabulary(self) -> int:
        """How many ids there are."""
        return self.core.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        """The ids of `text` and no others; special tokens written out in it, like <|im_start|>, are recognised."""
        with no_panic("the tokenizer cannot read this text"):
            return self.core.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, special tokens included; bytes that are not UTF-8 become U+FFFD.

        A vocabulary that puts a space before the text drops one on the way back, so the ids of a continuation
        should be decoded together with those of its prompt.
        """
        with no_panic("the tokenizer cannot write these ids"):
            return self.core.decode([int(i) for i in ids], skip_special_tokens=False)


@contextlib.contextmanager
def no_panic(what: str) -> Iterator[None]:
    """Raise what the library raises as a `CheckpointError`: bare `Exception`s, and panics of its Rust, which are none.

    Panics happen for a subword prefix longer than its token, or a regular expression that backtracks without end.
    """
    try:
        yield
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        raise CheckpointError(f"{what}: {error}; download tokenizer.json again") from None


def from_directory(folder: str | Path) -> Tokenizer | None:
    """The tokenizer of a Hugging Face directory, None if it has no tokenizer.json.

    Raises:
        CheckpointError: naming the file that is damaged, or that names a token the vocabulary lacks.
    """
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        return None
    core = read_core(path)
    settings = {
        name: read_settings(path.with_name(name))
        for name in ("tokenizer_config.json", "generation_config.json", "config.json")
    }
    bos_id, eos_id = (special_id(core, path, settings, kind) for kind in ("bos", "eos"))
    declared = settings["tokenizer_config.json"].get("add_bos_token")
    return Tokenizer(
        core=core,
        bos_id=bos_id,
        eos_id=eos_id,
        add_bos=bos_id is not None and (begins_with(core, bos_id) if declared is None else declared is True),
        chat_template=chat_template(path.parent, settings["tokenizer_config.json"]),
    )


def read_core(path: Path) -> tokenizers.Tokenizer:
    """A tokenizer.json, without the truncation and padding that its last user may have left in it."""
    wrong = f"{path} is not a tokenizer that `tokenizers` can read"
    try:
        with no_panic(wrong):
            core = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{wrong}: {error}; download it again") from None
    unknown = getattr(core.model, "unk_token", None)
    if unknown is not None and core.model.token_to_id(unknown) is None:
        raise CheckpointError(f"{path}: the token for what is unknown, {unknown!r}, is not in the vocabulary")
    check_growth(path, core)
    core.no_truncation()
    core.no_padding()
    return core


def check_growth(path: Path, core: tokenizers.Tokenizer) -> None:
    """Refuse steps that may make a text more than `MOST_GROWTH` times longer: four of a → a × 1000 fill any memory."""
    for part in (core.normalizer, core.decoder):
        grown = 1.0 if part is None else growth(json.loads(part.__getstate__()))
        if grown > MOST_GROWTH:
            raise CheckpointError(f"{path}: its replacements may make a text {grown:.3g} times longer; edit them")


def growth(step: Any) -> float:
    """How many times longer one step of a normalizer or a decoder, with those inside it, may make a text."""
    if isinstance(step, list):
        return math.prod(map(growth, step))
    if not isinstance(step, dict):
        return 1.0
    times = math.prod(growth(inner) for inner in step.values())
    if step.get("type") == "Precompiled":
        return times * PRECOMPILED_GROWTH
    if step.get("type") != "Replace":
        return times
    pattern, size = step["pattern"].get("String"), len(step["content"])
    return times * (
        max(size / len(pattern), 1.0) if pattern else 1.0 + size
    )  # others may match between any two letters


def read_settings(path: Path) -> dict[str, Any]:
    """A JSON object, empty if there is no such file."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}; download it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a {type(value).__name__}, not a JSON object; download it again")
    return value


def special_id(core: tokenizers.Tokenizer, path: Path, settings: Mapping[str, dict[str, Any]], kind: str) -> int | None:
    """The id of the bos or eos token: what tokenizer_config.json names, else the id in one of the other files."""
    named = settings["tokenizer_config.json"]
    if f"{kind}_token" in named:
        token = named[f"{kind}_token"]
        token = token.get("content") if isinstance(token, dict) else token
        if token is None:
            return None
        found = core.token_to_id(token) if isinstance(token, str) and is_text(token) else None
        if found is None:
            raise CheckpointError(f"{path}: {kind}_token {token!r} of tokenizer_config.json is not in the vocabulary")
        return found
    for name in ("generation_config.json", "config.json"):
        value = settings[name].get(f"{kind}_token_id")
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, int) and 0 <= value < core.get_vocab_size():
            return value
    return None


def is_text(token: str) -> bool:
    """Whether a string from JSON can be in a vocabulary: not with half of a surrogate pair."""
    return not any("\ud800" <= letter <= "\udfff" for letter in token)


def begins_with(core: tokenizers.Tokenizer, bos_id: int) -> bool:
    """Whether the post-processor stored in tokenizer.json puts `bos_id` first."""
    with no_panic("the tokenizer cannot read an empty text"):
        return core.encode("", add_special_tokens=True).ids[:1] == [bos_id]


def chat_template(folder: Path, named: Mapping[str, Any]) -> str | None:
    """chat_template.jinja, or the template in tokenizer_config.json; of several, the one called "default"."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8", errors="replace")
    template = named.get("chat_template")
    if isinstance(template, list):
        choices = [t.get("template") for t in template if isinstance(t, dict) and t.get("name") == "default"]
        template = choices[0] if choices else None
    return template if isinstance(template, str) else None
