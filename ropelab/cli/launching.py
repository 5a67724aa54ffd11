"""Shared by all commands: reading and checking flags, one-line error messages, and exit codes.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | an unexpected error; for some commands, a documented failure |
| 2 | bad input, nothing was measured; or a disk or file that cannot be read or written |
| 3 | a training that diverged, and would diverge again |
| 130, 143, 129 | interrupted (SIGINT, SIGTERM, SIGHUP); finished work is kept |
"""

import contextlib
import errno
import inspect
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from absl import flags

from ropelab.cli import configuration
from ropelab.spec import suggest_name

if TYPE_CHECKING:
    from jax.sharding import Mesh

Config = Any  # a ConfigDict, whose fields hold anything
ConfigMain = Callable[[Config, Path, str], int | None]
FlagsMain = Callable[[flags.FlagValues, list[str], str], int]

_REMEDIES = {
    errno.EACCES: "choose another folder, or change the permissions",
    errno.EPERM: "choose another folder, or change the permissions",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENOSPC: "free some space; finished work is kept, and the same command resumes",
    errno.EDQUOT: "free some space; finished work is kept, and the same command resumes",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f); the same command resumes",
    errno.ENOENT: "name a file or folder that exists",
    errno.EISDIR: "name a file instead of a folder",
    errno.ENOTDIR: "name a folder instead of a file",
}
_MESH_AXES = {
    "fsdp": "Devices over which parameters are sharded; they are gathered when used.",
    "tensor": "Devices over which heads, feed-forward and vocabulary are sharded.",
}


def run_with_config(
    main: ConfigMain,
    default: str,
    argv: Sequence[str] | None = None,
    *,
    options: flags.FlagValues | None = None,
    defaults: Mapping[str, Any],
    words: Mapping[str, str] | None = None,
    is_closed: bool = True,
) -> int:
    """Read the flags, call `main(config, workdir, command)`, and return its exit code.

    Args:
        main: the command; `command` is the command line that repeats it.
        default: the configuration file used without --config, relative to a clone of the repository. Where ropelab is
            installed without one, the configuration is `defaults` alone.
        argv: the command line, beginning with the program's name.
        options: flags besides --config and --workdir.
        defaults: every field that a configuration may have. A file may leave them out.
        words: the meaning of each field, for --help.
        is_closed: whether to refuse a file with fields that are not in `defaults`; main refuses them itself otherwise.
    """
    argv = list(sys.argv if argv is None else argv)
    values, fields = flags.FlagValues() if options is None else options, None
    flags.DEFINE_string("workdir", None, "Folder for everything that the command writes.", flag_values=values)
    try:
        left, fields = configuration.define(values, str(configuration.CLONE / default), argv, defaults)
        if "--help" in argv:
            print(help_text(main, values, configuration.described_fields(fields, words or {})))
            return 0
        if is_closed:
            path, _ = configuration.named(argv, default)
            configuration.check_fields(fields, defaults, path, default)
        rest = values(left)
    except flags.UnrecognizedFlagError as error:
        return fail(_one_line(error) + "." + configuration.as_flag(fields, error.flagname))
    except (flags.Error, ValueError, KeyError, TypeError, OSError) as error:
        return fail(_one_line(error))
    config, workdir = values.config, values.workdir
    if len(rest) > 1:
        return fail(f"unexpected argument {rest[1]!r}; settings are given as --config.<field>=<value>")
    if not workdir:
        return fail("--workdir is missing; name a folder for everything that the command writes")
    try:
        folder = _make_folder(workdir)
    except OSError as error:
        return fail(f"--workdir={workdir} cannot be made a folder: {describe_os_error(error)}")
    except ImportError as error:
        return fail(f"--workdir={workdir}: {error}; gs:// needs pip install 'ropelab[gcs]'")
    with _nonfinite_context(values):
        return _report_errors(main, config, folder, command_line(main, argv))


def run_with_flags(
    main: FlagsMain, values: flags.FlagValues, argv: Sequence[str] | None, *, known_only: bool = False
) -> int:
    """Read the flags of a command without a configuration and return the exit code of `main(values, words, command)`.

    Args:
        main: the command; `words` are the arguments that are not flags, and `command` is the command line.
        known_only: whether a flag that is not in `values` is a word.
    """
    argv = list(sys.argv if argv is None else argv)
    if "--help" in argv:
        print(help_text(main, values))
        return 0
    try:
        _, *words = values(argv, known_only=known_only)
        with _nonfinite_context(values):
            return main(values, words, command_line(main, argv))
    except flags.UnrecognizedFlagError as error:
        prefix, _, name = error.flagname.rpartition("config.")
        known = f" This command has no configuration: write --{name}=..." if prefix == "" and name in values else ""
        return fail(_one_line(error) + "." + (known or suggest_name(error.flagname, values)))
    except (flags.Error, ValueError) as error:
        return fail(_one_line(error))
    except OSError as error:
        return fail(describe_os_error(error))
    except KeyboardInterrupt as interrupt:
        print("\ninterrupted", file=sys.stderr)
        return getattr(interrupt, "code", 130)


def fail(message: str, code: int = 2) -> int:
    """Print an error to stderr and return its exit code."""
    with contextlib.suppress(OSError):  # of a terminal that was closed
        print(f"error: {message}", file=sys.stderr)
    return code


def describe_os_error(error: OSError) -> str:
    """Describe an error of a file in one line: the file, the problem and a remedy."""
    problem = " ".join(str(error.strerror or error).split())
    place = f"{error.filename}: " if error.filename is not None else ""
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{place}{problem}{f'; {remedy}' if remedy else ''}"


def help_text(main: Callable[..., object], values: flags.FlagValues, fields: str = "") -> str:
    """Return the text of --help: the module's docstring, its flags, and the fields of its configuration."""
    own = values.flags_by_module_dict().values()
    named = {flag.name: flag for group in own for flag in group if not flag.name.startswith("config.")}
    hidden = {"flagfile", "undefok"}
    lines = []
    for name, flag in named.items():
        if name in hidden:
            continue
        default = ",".join(map(str, flag.value)) if isinstance(flag.value, list) else flag.value
        shown = "" if name == "config" or default in (None, "") else f"={default}"
        lines.append(f"  --{name}{shown}")
        lines += textwrap.wrap(flag.help, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    usage = inspect.getdoc(inspect.getmodule(_unwrap(main))) or ""
    usage = re.sub(r"(?<=\S) {4,}(?=--)", " \\\\\n        ", usage)  # lines that the docstring joins by a backslash
    text = [usage, "", "Flags, with their defaults:", *lines]
    if fields:
        text += ["", "Fields of the configuration, each a flag with the prefix `config.`, with their defaults:", fields]
    return "\n".join(text)


def command_line(main: Callable[..., object], argv: Sequence[str]) -> str:
    """Return the command line that repeats a command."""
    plain = (f'"{a}"' if shlex.quote(a) != a and not set(a) & set('"$`\\!') else shlex.quote(a) for a in argv[1:])
    return f"python -m {_program(main)} " + " ".join(plain)


def define_allow_nonfinite(values: flags.FlagValues) -> None:
    """Define --allow_nonfinite, which `run_with_config` and `run_with_flags` obey."""
    text = "Accept a model with non-finite numbers, to study it; without this flag, that is an error."
    flags.DEFINE_bool("allow_nonfinite", False, text, flag_values=values)


def define_mesh_flags(values: flags.FlagValues) -> None:
    """Define the flags of a command that measures on several devices."""
    for name, text in _MESH_AXES.items():
        flags.DEFINE_integer(name, 1, text, 1, flag_values=values)


def mesh_from_flags(values: flags.FlagValues) -> "Mesh | None":
    """Return the mesh that the flags of `define_mesh_flags` request, None for one device.

    Raises:
        ValueError: if there are fewer devices.
    """
    import jax

    from ropelab.training.distributed import MeshShape, make_mesh

    count, devices = values.fsdp * values.tensor, jax.devices()
    if count == 1:
        return None
    if count > len(devices):
        raise ValueError(
            f"--fsdp={values.fsdp} --tensor={values.tensor} need {count} devices; there are {len(devices)}"
        )
    return make_mesh(MeshShape(data=1, fsdp=values.fsdp, tensor=values.tensor), devices[:count])


def refuse_words(words: Sequence[str], remedy: str) -> None:
    """Raise ValueError for arguments that are not flags."""
    if words:
        raise ValueError(f"unexpected argument {words[0]!r}; {remedy}")


def workdir_of(values: flags.FlagValues, words: Sequence[str]) -> Path:
    """Return the folder of --workdir, for a command whose arguments are all flags."""
    refuse_words(words, "settings are given as --name=value")
    if not values.workdir:
        raise ValueError("--workdir is missing; name a folder for everything that the command reads or writes")
    return Path(values.workdir).expanduser()


def parse_lengths(texts: Sequence[str], flag: str = "lengths") -> tuple[int, ...]:
    """Return the lengths that a flag lists, in ascending order."""
    if not texts or not all(text.strip().isdecimal() and int(text) >= 2 for text in texts):
        raise ValueError(f"--{flag}={','.join(texts)} must be integers of at least 2, as in --{flag}=1024,4096")
    return tuple(sorted({int(text) for text in texts}))


def integers_field(config: Config, name: str) -> tuple[int, ...]:
    """Return a field that must be a tuple of integers; flags check the type of a field, but not of its items."""
    values: Any = config[name]
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        raise ValueError(f"config.{name}={tuple(values)} must be integers, as in --config.{name}=4096,12288")
    return tuple(values)


def warn_if_slow(dtype: str) -> None:
    """Print a warning for bfloat16 on a CPU, which emulates it."""
    if dtype != "bfloat16":
        return
    import jax

    if jax.default_backend() == "cpu":
        print("warning: bfloat16 is slow on a CPU, where it is emulated; float32 is faster", file=sys.stderr)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _report_errors(main: ConfigMain, config: Config, workdir: Path, command: str) -> int:
    """Call a command and turn its errors into a message and an exit code."""
    try:
        return main(config, workdir, command) or 0
    except ValueError as error:
        return fail(_one_line(error))
    except OSError as error:
        return fail(describe_os_error(error))
    except KeyboardInterrupt:
        print("\ninterrupted; finished measurements are kept, and the same command resumes", file=sys.stderr)
        return 130


def _make_folder(workdir: str) -> Path:
    """Create the folder if needed; one in a bucket is etils's, which behaves like a Path.

    Raises:
        OSError: if it cannot be created.
        ImportError: for a bucket, without the packages that reach it.
    """
    if "://" not in workdir:
        folder = Path(workdir).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    from etils import epath

    try:
        bucket = epath.Path(workdir)
        bucket.mkdir(parents=True, exist_ok=True)
        return cast(Path, bucket)
    except (OSError, ImportError):
        raise
    except Exception as error:  # each library has its own errors for credentials and HTTP
        raise OSError(f"{type(error).__name__}: {error}") from error


def _nonfinite_context(values: flags.FlagValues) -> AbstractContextManager[None]:
    """Return the context that --allow_nonfinite requests."""
    if "allow_nonfinite" not in values or not values.allow_nonfinite:
        return nullcontext()
    from ropelab.models.finite import allow_nonfinite  # imports jax, which not every command needs

    return allow_nonfinite()


def _program(main: Callable[..., object]) -> str:
    """Return the module that `python -m` runs for a function of it."""
    module = inspect.getmodule(_unwrap(main))
    name = module.__name__ if module else ""
    if name == "__main__":
        spec = sys.modules["__main__"].__spec__
        name = spec.name if spec else Path(sys.argv[0]).stem
    return name.replace("ropelab.cli.", "experiments.")


def _unwrap(main: Callable[..., object]) -> Callable[..., object]:
    """Return the function of a `functools.partial`."""
    return getattr(main, "func", main)
