"""Configurations: a file's `get_config`, defaults for missing fields, and flags that override both.

    --config=experiments/papers/lex/config.py:rope --config.optimizer.lr=1e-3

A field that a file leaves out has its default, and can be overridden as well. Names, types and the file itself are
checked here; an error is one line that lists the alternatives.
"""

import difflib
import importlib.util
import inspect
import re
import sys
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
_PAPERS = "experiments/papers"
_MOVED = {  # paths of 0.1
    "configs/sweeps/lex_table.py": f"{_PAPERS}/lex/sweep.py",
    "configs/sweeps/yarn_tables.py": f"{_PAPERS}/yarn/sweep.py",
    "configs/sweeps/pi_tables.py": f"{_PAPERS}/pi/sweep.py",
    "configs/sweeps/untuned.py": f"{_PAPERS}/ntk/sweep.py",
    "configs/sweeps/longnet_table.py": f"{_PAPERS}/longnet/sweep.py",
    "configs/sweeps/longlora_figure.py": f"{_PAPERS}/longlora/sweep.py",
    "configs/sweeps/mpt_curriculum.py": f"{_PAPERS}/mpt/sweep.py",
    "configs/sweeps/knobs.py": f"{_PAPERS}/rope_settings/sweep.py",
    "configs/sweeps/tables.py": f"{_PAPERS}/sweep.py",
    "configs/catalogue_smollm2.py": f"{_PAPERS}/catalogue/config.py",
    "configs/lex.py": f"{_PAPERS}/lex/config.py",
    "configs/kmax.py": f"{_PAPERS}/pi/config.py",
    "configs/extension.py": f"{_PAPERS}/extension/config.py",
    "configs/longnet_table.py": f"{_PAPERS}/longnet/config.py",
}
CLONE = Path(__file__).parents[2]  # of the repository, if ropelab is not installed apart from it
KINDS = {int: "an integer", float: "a number", bool: "True or False"}


def define(
    values: flags.FlagValues, default: str, argv: Sequence[str], defaults: Mapping[str, Any]
) -> tuple[list[str], Any]:
    """Define the flag `config` with all its fields; return the rest of the command line, and the configuration.

    Args:
        default: the file used where the command line names none; without such a file, `defaults` alone are used.
        defaults: fields that a file may leave out.

    Raises:
        ValueError: for a file that cannot be read, or a field that does not exist.
    """
    argv = [argv[0], *values.read_flags_from_files(list(argv[1:]), force_gnu=False)]
    path, rest = named(argv, default)
    from_file = read(path) if path != default or Path(default).is_file() else ConfigDict()
    config = completed(from_file, defaults, "config")
    for found in filter(None, map(FIELD.match, rest)):
        check_flag(config, found["name"], found["value"])
    config_flags.DEFINE_config_dict("config", config, help_string=HELP, flag_values=values, sys_argv=rest)
    return rest, config


def named(argv: Sequence[str], default: str) -> tuple[str, list[str]]:
    """Return the file of --config, the last if there are several, and the other words of a command line."""
    path, rest, words = default, [], iter(argv)
    for word in words:
        found = FLAG.match(word)
        if found is None:
            rest.append(word)
        else:
            path = next(words, "") if found["path"] is None else found["path"]
    return path, rest


def read(path: str) -> Any:
    """Call the `get_config` of a file.

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
    """Import a Python file that a flag names.

    Args:
        flag, example: the flag and an example of its value, for messages.
    """
    if not Path(file).is_file():
        moved = [new for old, new in _MOVED.items() if Path(file).as_posix().endswith(old)]
        remedy = f"it is {moved[0]} now" if moved else f"give one like {example}"
        raise ValueError(f"--{flag}={file}: there is no such file; {remedy}")
    spec = importlib.util.spec_from_file_location("configuration_file", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"--{flag}={file}: this must be a Python file, as {example}")
    found = importlib.util.module_from_spec(spec)
    for folder in (Path.cwd(), CLONE):  # last, so that nothing installed is hidden; `python -m` has the first anyway
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    try:
        spec.loader.exec_module(found)
    except Exception as error:
        raise ValueError(f"--{flag}={file} cannot be read: {type(error).__name__}: {error}") from error
    return found


def completed(config: Any, defaults: Mapping[str, Any], name: str) -> Any:
    """Fill in missing fields, and convert integers to floats where the default is a float.

    Raises:
        ValueError: for a value in place of fields, or fields in place of a value.
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


def check_fields(config: Any, allowed: Mapping[str, Any], path: str, example: str) -> None:
    """Raise `ValueError` if a configuration has a field that its program does not read.

    Args:
        path: of the configuration, and `example` of one that is right, for the message.
    """
    unknown = [name for name in config if name not in allowed]
    if unknown:
        raise ValueError(
            f"--config={path} is not a configuration of this command: it sets {', '.join(unknown)}, and the fields are "
            f"{', '.join(allowed)}; give one like {example}"
        )


def fields_of(config: Any, prefix: str = "") -> dict[str, Any]:
    """Return every field by its dotted name."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        here = f"{prefix}{name}"
        found |= fields_of(value, f"{here}.") if isinstance(value, ConfigDict) else {here: value}
    return found


def as_flag(config: Any, name: str) -> str:
    """Return a hint for `--name` if a field has this or a similar name, or an empty string."""
    fields = fields_of(config or {})
    found = [field for field in fields if field == name or field.endswith(f".{name}")]
    if not found and (close := difflib.get_close_matches(name, fields, n=1, cutoff=0.75)):
        found = close
    return f" Fields of the configuration have a prefix: write --config.{found[0]}=..." if found else ""


def described_fields(config: Any, words: Mapping[str, str]) -> str:
    """Describe the fields of a configuration for --help: flag, default and meaning of each."""
    lines = []
    for name, value in fields_of(config).items():
        shown = ",".join(map(str, value)) if isinstance(value, tuple | list) else "" if value is None else str(value)
        shown = f'"{shown}"' if re.search(r"[\s;()]", shown) else shown
        shown = shown if len(shown) <= 60 else f"{shown[:56]} ..."
        lines.append(f"  --config.{name}={shown}")
        lines += textwrap.wrap(words.get(name, ""), 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def check_flag(config: Any, name: str, value: str | None) -> None:
    """Raise `ValueError` for an unknown field, or a value of the wrong type.

    Args:
        value: None if it is the next word of the command line.
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
    """Return whether a flag of this type accepts the text."""
    parser = {int: flags.IntegerParser, float: flags.FloatParser, bool: flags.BooleanParser}[kind]()
    try:
        parser.parse(text)
    except ValueError:
        return False
    return True
