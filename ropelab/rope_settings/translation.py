"""Translation between dialects, which are recognized by the form of the text.

--rope-scale 2 -c 8192                  llama.cpp's options
alpha_value=2 compress_pos_emb=1        ExLlama and text-generation-webui
rope_type=yarn rope_factor=8            MaxText, also as JSON
{"rope_scaling": {...}}                 config.json of transformers: its text, its path or only its rope object
{"llama.rope.freq_base": 10000.0}       metadata of a GGUF
YaRN(base=1e4, factor=4, ...)           ropelab's own spec
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ropelab.encodings import registry
from ropelab.encodings.rope import RoPE
from ropelab.errors import CheckpointError
from ropelab.rope_settings import description, exllama, gguf, hf, llama_cpp, maxtext
from ropelab.rope_settings.base import Setting, check_count, check_head_dim, format_assignments
from ropelab.spec import suggest_name

_CONFIG_KEYS = {"model_type", "rope_parameters", "rope_scaling"}  # keys next to the rope object of transformers
_MAXTEXT_KEYS = {key for key in maxtext.DEFAULTS if key.startswith(("rope_", "local_", "global_", "nope_"))} - {
    "rope_type"
}
_Writer = Callable[[Setting, int, float | None], str]


def read(text: str, *, head_dim: int, base: float | None = None) -> tuple[str, Setting]:
    """Read a text, or the file at a path, and return `(dialect, setting)`.

    Args:
        base: the model's base, used if the text has none.

    Raises:
        ValueError: for a text of no known dialect, or one that is not valid in its dialect.
    """
    text = text.strip()
    dialect, setting = _recognize(text, head_dim, base)
    if base is None:
        return dialect, setting
    return dialect, setting._replace(encoding=setting.encoding.inherit(RoPE(base=base)))


def _recognize(text: str, head_dim: int, base: float | None) -> tuple[str, Setting]:
    """Recognize the dialect of a text and read its setting."""
    if text.startswith("-"):
        return "llama.cpp", llama_cpp.read(text, head_dim=head_dim)
    if text.startswith("{"):
        return _read_object(text, "the JSON text", head_dim)
    path = _find_file(text)
    if path is not None:
        try:
            return _read_object(path.read_text(encoding="utf-8"), str(path), head_dim)
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from None
    if "=" in text and "(" not in text:
        pairs = {name: value for name, _, value in (word.partition("=") for word in text.replace(",", " ").split())}
        if set(pairs) & (set(maxtext.DEFAULTS) | maxtext.MODEL_KEYS):
            return "maxtext", maxtext.read({key: _parse_literal(value) for key, value in pairs.items()})
        return "exllama", exllama.read(text, head_dim=head_dim, base=base)
    return "spec", Setting(registry.parse(text))


def _find_file(text: str) -> Path | None:
    """Return the JSON file at this path, or the config.json of this directory; None if it is not a path."""
    path = Path(text).expanduser()
    if "(" in text or "=" in text or not (path.suffix == ".json" or path.is_dir()):
        return None
    return path / "config.json" if path.is_dir() else path


def find_head_dim(text: str) -> int | None:
    """Find the head dimension in a text or file; None if it is missing or invalid, which `read` reports."""
    text = text.strip()
    try:
        path = None if text.startswith(("{", "-")) else _find_file(text)
        keys = json.loads(text if path is None else path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(keys, dict):
        return None
    of_gguf = [value for key, value in keys.items() if key.endswith(".attention.key_length")]
    return check_count("GGUF metadata", "attention.key_length", of_gguf[0]) if of_gguf else hf.read_head_dim(keys)


def _read_object(text: str, name: str, head_dim: int) -> tuple[str, Setting]:
    """Read a JSON object of transformers, of a GGUF or of MaxText."""
    try:
        keys = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not valid JSON: {error}") from None
    if not isinstance(keys, dict):
        raise CheckpointError(f"{name} holds a {type(keys).__name__}, not a JSON object")
    if any(".rope." in key for key in keys):
        return "gguf", gguf.read(keys, head_dim=head_dim)
    alone = bool({"rope_type", "type"} & set(keys))
    if _CONFIG_KEYS & set(keys) or ("rope_theta" in keys and not alone):
        check_head_dim(name, hf.read_head_dim(keys), head_dim)
        return "hf", hf.read({"head_dim": head_dim} | keys)
    if _MAXTEXT_KEYS & set(keys) or keys.get("rope_type") == "llama3.1":
        return "maxtext", maxtext.read(keys)
    if alone:
        return "hf", hf.read({"rope_parameters": keys})
    raise CheckpointError(f"{name} has no rope settings; a config.json has one of {', '.join(sorted(_CONFIG_KEYS))}")


def _parse_literal(text: str) -> Any:
    """Parse a number or a boolean; return other text unchanged."""
    try:
        return json.loads(text.lower())
    except ValueError:
        return text


def write(setting: Setting, dialect: str, *, head_dim: int, base: float | None = None) -> str:
    """Write a setting as text of a dialect.

    Raises:
        ValueError: for an unknown dialect, or a setting that it cannot express.
    """
    if dialect not in DIALECTS:
        raise ValueError(f"unknown dialect {dialect!r}.{suggest_name(dialect, DIALECTS)} Known: {', '.join(DIALECTS)}")
    return DIALECTS[dialect](setting, head_dim, base)


def _write_hf(setting: Setting, head_dim: int, base: float | None) -> str:
    del base
    return json.dumps(hf.to_hf(setting.encoding, head_dim=head_dim, context_length=setting.context_length))


def _write_llama_cpp(setting: Setting, head_dim: int, base: float | None) -> str:
    del base
    return llama_cpp.to_llama_cpp(setting.encoding, head_dim=head_dim, context_length=setting.context_length)


def _write_gguf(setting: Setting, head_dim: int, base: float | None) -> str:
    del base
    return json.dumps(gguf.to_gguf(setting.encoding, head_dim=head_dim, context_length=setting.context_length))


def _write_exllama(setting: Setting, head_dim: int, base: float | None) -> str:
    encoding, length = setting
    return format_assignments(exllama.to_exllama(encoding, head_dim=head_dim, base=base, context_length=length))


def _write_maxtext(setting: Setting, head_dim: int, base: float | None) -> str:
    del base
    keys = maxtext.to_maxtext(setting.encoding, head_dim=head_dim, context_length=setting.context_length)
    return format_assignments(keys)


def _write_spec(setting: Setting, head_dim: int, base: float | None) -> str:
    del head_dim, base
    return repr(setting.encoding)


def _write_description(setting: Setting, head_dim: int, base: float | None) -> str:
    del base
    return description.describe(setting, head_dim=head_dim)


DIALECTS: dict[str, _Writer] = {
    "hf": _write_hf,
    "llama.cpp": _write_llama_cpp,
    "gguf": _write_gguf,
    "exllama": _write_exllama,
    "maxtext": _write_maxtext,
    "spec": _write_spec,
    "words": _write_description,
}
