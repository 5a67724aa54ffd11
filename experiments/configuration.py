"""A configuration: what a file's `get_config` gives, what it leaves out, and the flags that override both.

    --config=configs/lex.py:rope --config.optimizer.lr=1e-3

A field that a file leaves out has its default and can be given as a flag all the same. Names, types and the file itself
are checked here, each with one line that says what there is.
"""

import importlib.util
import inspect
import re
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from ropelab.encodings.specs import nearest

FLAG = re.compile(r"--?config(=(?P<path>.*))?$", re.DOTALL)
FIELD = re.compile(r"--?(no)?config\.(?P<name>[^=]+)(=(?P<value>.*))?$", re.DOTALL)
HELP = "Configuration file, with a variant after a colon where it has some; --config.<field>=... overrides."
KINDS = {int: "an integer", float: "a number", bool: "True or False"}


def define(values: flags.FlagValues, default: str, argv: Sequence[str], defaults: Mapping[str, Any]) -> list[str]:
    """Define the flag `config` with all its fields, and give the command line without the name of the file.

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
    return rest


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


def module(file: str) -> types.ModuleType:
    """A configuration file, run."""
    if not Path(file).is_file():
        raise ValueError(f"--config={file}: there is no such file; give one like configs/smoke.py")
    spec = importlib.util.spec_from_file_location("configuration_file", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"--config={file}: a configuration is a Python file, as configs/smoke.py")
    found = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(found)
    except Exception as error:
        raise ValueError(f"--config={file} cannot be read: {type(error).__name__}: {error}") from error
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
            raise ValueError(f"{path} has no field {part!r}.{nearest(part, here)} It has: {', '.join(here)}")
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
