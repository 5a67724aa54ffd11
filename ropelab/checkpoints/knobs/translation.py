"""Any dialect → any other, by what the text looks like.

--rope-scale 2 -c 8192                  llama.cpp's options
alpha_value=2 compress_pos_emb=1        ExLlama and text-generation-webui
rope_type=yarn rope_factor=8            MaxText, also as JSON
{"rope_scaling": {...}}                 config.json of transformers, its text, its path or its rope object alone
{"llama.rope.freq_base": 10000.0}       metadata of a GGUF
YaRN(base=1e4, factor=4, ...)           ropelab's own spec
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.knobs import exllama, gguf, hf_read, llama_cpp, maxtext, words
from ropelab.checkpoints.knobs.hf_write import to_hf
from ropelab.checkpoints.knobs.setting import Setting, assignments, check_head, whole
from ropelab.encodings import registry
from ropelab.encodings.rope import RoPE
from ropelab.spec import suggest_name

CONFIG = {"model_type", "rope_parameters", "rope_scaling"}  # beside the rope object of transformers
FLAT = {key for key in maxtext.DEFAULTS if key.startswith(("rope_", "local_", "global_", "nope_"))} - {"rope_type"}
Writer = Callable[[Setting, int, float | None], str]


def read(text: str, *, head_dim: int, base: float | None = None) -> tuple[str, Setting]:
    """`(dialect, setting)` of a text, or of the file that it is the path of.

    Args:
        base: the model's own; it stands where the text leaves it out.

    Raises:
        ValueError: for a text of no dialect, or one that its dialect refuses.
    """
    text = text.strip()
    dialect, setting = recognised(text, head_dim, base)
    if base is None:
        return dialect, setting
    return dialect, setting._replace(encoding=setting.encoding.inherit(RoPE(base=base)))


def recognised(text: str, head_dim: int, base: float | None) -> tuple[str, Setting]:
    """The dialect of a text by its first letters, and what it says."""
    if text.startswith("-"):
        return "llama.cpp", llama_cpp.read(text, head_dim=head_dim)
    if text.startswith("{"):
        return from_object(text, "the JSON text", head_dim)
    path = file_of(text)
    if path is not None:
        try:
            return from_object(path.read_text(encoding="utf-8"), str(path), head_dim)
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from None
    if "=" in text and "(" not in text:
        pairs = {name: value for name, _, value in (word.partition("=") for word in text.replace(",", " ").split())}
        if set(pairs) & (set(maxtext.DEFAULTS) | maxtext.OUTSIDE):
            return "maxtext", maxtext.read({key: literal(value) for key, value in pairs.items()})
        return "exllama", exllama.read(text, head_dim=head_dim, base=base)
    return "spec", Setting(registry.parse(text))


def file_of(text: str) -> Path | None:
    """The file that a text is the path of, or that of the directory."""
    path = Path(text).expanduser()
    if "(" in text or "=" in text or not (path.suffix == ".json" or path.is_dir()):
        return None
    return path / "config.json" if path.is_dir() else path


def head_dim_of(text: str) -> int | None:
    """Dimensions of a head, where the text or the file that it names says so; `read` says what is wrong with either."""
    text = text.strip()
    try:
        path = None if text.startswith(("{", "-")) else file_of(text)
        keys = json.loads(text if path is None else path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(keys, dict):
        return None
    of_gguf = [value for key, value in keys.items() if key.endswith(".attention.key_length")]
    return whole("GGUF metadata", "attention.key_length", of_gguf[0]) if of_gguf else hf_read.head_dim_of(keys)


def from_object(text: str, name: str, head_dim: int) -> tuple[str, Setting]:
    """A JSON object of transformers, of a GGUF or of MaxText."""
    try:
        keys = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not valid JSON: {error}") from None
    if not isinstance(keys, dict):
        raise CheckpointError(f"{name} holds a {type(keys).__name__}, not a JSON object")
    if any(".rope." in key for key in keys):
        return "gguf", gguf.read(keys, head_dim=head_dim)
    alone = bool({"rope_type", "type"} & set(keys))
    if CONFIG & set(keys) or ("rope_theta" in keys and not alone):
        check_head(name, hf_read.head_dim_of(keys), head_dim)
        return "hf", hf_read.read({"head_dim": head_dim} | keys)
    if FLAT & set(keys) or keys.get("rope_type") == "llama3.1":
        return "maxtext", maxtext.read(keys)
    if alone:
        return "hf", hf_read.read({"rope_parameters": keys})
    raise CheckpointError(f"{name} says nothing of rope: a config.json has one of {', '.join(sorted(CONFIG))}")


def literal(text: str) -> Any:
    """A number or a truth value, else the word itself."""
    try:
        return json.loads(text.lower())
    except ValueError:
        return text


def write(setting: Setting, dialect: str, *, head_dim: int, base: float | None = None) -> str:
    """A setting in a dialect, as it is pasted there.

    Raises:
        ValueError: for an unknown dialect, or a setting that it cannot say.
    """
    if dialect not in DIALECTS:
        raise ValueError(f"unknown dialect {dialect!r}.{suggest_name(dialect, DIALECTS)} Known: {', '.join(DIALECTS)}")
    return DIALECTS[dialect](setting, head_dim, base)


def hf(setting: Setting, head_dim: int, base: float | None) -> str:
    del base
    return json.dumps(to_hf(setting.encoding, head_dim=head_dim, context_length=setting.context_length))


def llama(setting: Setting, head_dim: int, base: float | None) -> str:
    del base
    return llama_cpp.to_llama_cpp(setting.encoding, head_dim=head_dim, context_length=setting.context_length)


def metadata(setting: Setting, head_dim: int, base: float | None) -> str:
    del base
    return json.dumps(gguf.to_gguf(setting.encoding, head_dim=head_dim, context_length=setting.context_length))


def webui(setting: Setting, head_dim: int, base: float | None) -> str:
    encoding, length = setting
    return assignments(exllama.to_exllama(encoding, head_dim=head_dim, base=base, context_length=length))


def flat(setting: Setting, head_dim: int, base: float | None) -> str:
    del base
    keys = maxtext.to_maxtext(setting.encoding, head_dim=head_dim, context_length=setting.context_length)
    return assignments(keys)


def spec(setting: Setting, head_dim: int, base: float | None) -> str:
    del head_dim, base
    return repr(setting.encoding)


def sentences(setting: Setting, head_dim: int, base: float | None) -> str:
    del base
    return words.in_words(setting, head_dim=head_dim)


DIALECTS: dict[str, Writer] = {
    "hf": hf, "llama.cpp": llama, "gguf": metadata, "exllama": webui, "maxtext": flat, "spec": spec, "words": sentences,
}  # fmt: skip
