"""A configuration: what a file's `get_config` gives, what it leaves out, and the flags that override both.

    --config=configs/lex.py:rope --config.optimizer.lr=1e-3

A field that a file leaves out has its default and can be given as a flag all the same. Names, types and the file itself
are checked here, each with one line that says what there is.
"""

import difflib
import importlib.util
import inspect
import re
import textwrap
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from ropelab.spec import suggest_name

FLAG = re.compile(r"--?config(=(?P<path>.*))?$", re.DOTALL)
FIELD = re.compile(r"--?(no)?config\.(?P<name>[^=]+)(=(?P<value>.*))?$", re.DOTALL)
HELP = "Configuration file, with a variant after a colon where it has some; --config.<field>=... overrides."
KINDS = {int: "an integer", float: "a number", bool: "True or False"}


def define(
    values: flags.FlagValues, default: str, argv: Sequence[str], defaults: Mapping[str, Any]
) -> tuple[list[str], Any]:
    """Define the flag `config` with all its fields; give the command line without the file's name, and its fields.

    Args:
        defaults: fields that a file may leave out.

    Raises:
        ValueError: for a file that cannot be read, or a field that does not exist.
    """
    argv = [argv[0], *values.read_flags_from_files(list(argv[1:]), force_gnu=False)]
    path, rest = named(argv, default)
    config = completed(read(path), defaults, "config")
    for found in filter(None, map(FIELD.match, rest)):
        check_flag(config, found["name"], found["value"])
    config_flags.DEFINE_config_dict("config", config, help_string=HELP, flag_values=values, sys_argv=rest)
    return rest, config


def named(argv: Sequence[str], default: str) -> tuple[str, list[str]]:
    """The file that a command line names, the last if there are several, and the other words."""
    path, rest, words = default, [], iter(argv)
    for word in words:
        found = FLAG.match(word)
        if found is None:
            rest.append(word)
        else:
            path = next(words, "") if found["path"] is None else found["path"]
    return path, rest


def read(path: str) -> Any:
    """What the `get_config` of a file gives.

    Raises:
        ValueError: if there is none, or it has no such variant.
    """
    file, _, variant = path.partition(":")
    get_config = getattr(module(file), "get_config", None)
    if get_config is None:
        raise ValueError(f"--config={path}: the file has no function get_config")
    if variant and not inspect.signature(get_config).parameters:
        raise ValueError(f"--config={path}: the file has no variants; leave out :{variant}")
    try:
        return ConfigDict(get_config(variant) if variant else get_config())
    except ValueError as error:
        raise ValueError(f"--config={path}: {error}") from None


def module(file: str, flag: str = "config", example: str = "configs/smoke.py") -> types.ModuleType:
    """A configuration file, run.

    Args:
        flag, example: the flag that names the file and a file it takes, for messages.
    """
    if not Path(file).is_file():
        raise ValueError(f"--{flag}={file}: there is no such file; give one like {example}")
    spec = importlib.util.spec_from_file_location("configuration_file", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"--{flag}={file}: this must be a Python file, as {example}")
    found = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(found)
    except Exception as error:
        raise ValueError(f"--{flag}={file} cannot be read: {type(error).__name__}: {error}") from error
    return found


def completed(config: Any, defaults: Mapping[str, Any], name: str) -> Any:
    """The configuration with what it leaves out, whole numbers as floats where those are meant.

    Raises:
        ValueError: for a value where there are fields, or fields where there is a value.
    """
    for key, default in defaults.items():
        if key not in config:
            config[key] = ConfigDict(default) if isinstance(default, Mapping) else default
        elif isinstance(default, Mapping) != isinstance(config[key], ConfigDict):
            raise ValueError(f"{name}.{key}={config[key]!r} in the file; it takes {described(default)}")
        elif isinstance(default, Mapping):
            completed(config[key], default, f"{name}.{key}")
        elif isinstance(default, float) and type(config[key]) is int:
            with config.ignore_type():
                config[key] = float(config[key])
    return config


def described(default: Any) -> str:
    return f"fields: {', '.join(default)}" if isinstance(default, Mapping) else f"a value, as {default!r}"


def check_fields(config: Any, needed: Any, path: str, example: str) -> None:
    """Raise `ValueError` unless a configuration has all the fields of `needed`, as a program's own file has them.

    Args:
        path: of the configuration, and `example` of one that is right, for the message.
    """
    lost = [name for name in needed if name not in config]
    if lost:
        raise ValueError(
            f"--config={path} is no configuration of this program: it has no {', '.join(lost)}; give one like {example}"
        )


def fields_of(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every field by its dotted name."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        here = f"{prefix}{name}"
        found |= fields_of(value, f"{here}.") if isinstance(value, ConfigDict) else {here: value}
    return found


def as_flag(config: Any, name: str) -> str:
    """How a field is given on the command line, where somebody wrote `--name`; empty if there is no such field."""
    fields = fields_of(config or {})
    found = [field for field in fields if field == name or field.endswith(f".{name}")]
    if not found and (close := difflib.get_close_matches(name, fields, n=1, cutoff=0.75)):
        found = close
    return f" Fields of the configuration have a prefix: write --config.{found[0]}=..." if found else ""


def described_fields(config: Any, words: Mapping[str, str]) -> str:
    """The fields of a configuration for --help, one per line: how each is given, its default and what it means."""
    lines = []
    for name, value in fields_of(config).items():
        shown = ",".join(map(str, value)) if isinstance(value, tuple | list) else "" if value is None else str(value)
        shown = f'"{shown}"' if re.search(r"[\s;()]", shown) else shown
        shown = shown if len(shown) <= 60 else f"{shown[:56]} ..."
        lines.append(f"  --config.{name}={shown}")
        lines += textwrap.wrap(words.get(name, ""), 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def check_flag(config: Any, name: str, value: str | None) -> None:
    """Raise `ValueError` unless there is such a field, and the value is of its type.

    Args:
        value: None if it is another word of the command line.
    """
    here, path, kind = config, "config", ConfigDict
    for part in name.split("."):
        if not isinstance(here, ConfigDict):
            raise ValueError(f"{path} is a value and has no field {part!r}")
        if part not in here:
            raise ValueError(f"{path} has no field {part!r}.{suggest_name(part, here)} It has: {', '.join(here)}")
        kind, here, path = here.get_type(part), here[part], f"{path}.{part}"
    if isinstance(here, ConfigDict):
        raise ValueError(f"{path} is not one field; it has: {', '.join(here)}")
    if value is not None and kind in KINDS and not of_kind(value, kind):
        raise ValueError(f"{path}={value!r} is not allowed; it takes {KINDS[kind]}")


def of_kind(text: str, kind: type) -> bool:
    """Whether a flag of this kind takes the text."""
    parser = {int: flags.IntegerParser, float: flags.FloatParser, bool: flags.BooleanParser}[kind]()
    try:
        parser.parse(text)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    raise SystemExit("experiments.configuration is used by the commands and is none itself; docs/running.md lists them")
