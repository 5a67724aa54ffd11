"""What every command line shares: flags that are checked, one message for bad input, exit codes that mean something.

0: done. 1: what nobody foresaw. 2: bad input, nothing measured, or a disk or file that cannot be read or written. 3: a
training that came to nothing, and would again. 130, 143, 129: asked to stop (SIGINT, SIGTERM, SIGHUP), what was done is
kept.
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
from typing import Any, cast

from absl import flags

from experiments import configuration
from ropelab.spec import suggest_name

ROOT = Path(__file__).parents[1]
Config = Any  # a ConfigDict, whose fields hold anything
Main = Callable[[Config, Path, str], int | None]
Act = Callable[[flags.FlagValues, list[str], str], int]


def run(
    main: Main,
    default: str,
    argv: Sequence[str] | None = None,
    *,
    options: flags.FlagValues | None = None,
    defaults: Mapping[str, Any] | None = None,
    words: Mapping[str, str] | None = None,
) -> int:
    """Read the flags, call `main(config, workdir, command)`, and return the exit code, main's own if it has one.

    Args:
        default: the configuration file used without --config, relative to the repository.
        argv: the command line, the program's name first.
        options: flags besides --config and --workdir, which main knows of.
        defaults: fields that a configuration file may leave out. Without them it must have all that the default
            file has.
        words: what each field means, for --help.
    """
    argv = list(sys.argv if argv is None else argv)
    values, fields = flags.FlagValues() if options is None else options, None
    flags.DEFINE_string("workdir", None, "Folder for everything the run writes.", flag_values=values)
    try:
        left, fields = configuration.define(values, str(ROOT / default), argv, defaults or {})
        if "--help" in argv:
            print(help_of(main, values, configuration.described_fields(fields, words or {})))
            return 0
        path, _ = configuration.named(argv, str(ROOT / default))
        if not defaults and path != str(ROOT / default):
            configuration.check_fields(fields, configuration.read(str(ROOT / default)), path, default)
        rest = values(left)
    except flags.UnrecognizedFlagError as error:
        return fail(" ".join(str(error).split()) + "." + configuration.as_flag(fields, error.flagname))
    except (flags.Error, ValueError, KeyError, TypeError, OSError) as error:
        return fail(" ".join(str(error).split()))
    config, workdir = values.config, values.workdir
    if len(rest) > 1:
        return fail(f"unexpected argument {rest[1]!r}; settings are given as --config.<field>=<value>")
    if not workdir:
        return fail("--workdir is missing; name a folder for everything the run writes")
    try:
        folder = made(workdir)
    except OSError as error:
        return fail(f"--workdir={workdir} cannot be made a folder: {of_disk(error)}")
    except ImportError as error:
        return fail(f"--workdir={workdir}: {error}; what gs:// needs is pip install 'ropelab[gcs]'")
    with nonfinite(values):
        return guarded(main, config, folder, command(main, argv))


def help_of(main: Callable[..., object], values: flags.FlagValues, fields: str = "") -> str:
    """The text of --help: the module's docstring, its flags, and the fields of its configuration."""
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
    usage = inspect.getdoc(inspect.getmodule(unwrapped(main))) or ""
    usage = re.sub(r"(?<=\S) {4,}(?=--)", " \\\\\n        ", usage)  # lines that the docstring joins by a backslash
    text = [usage, "", "Flags, with their defaults:", *lines]
    if fields:
        text += ["", "Fields of the configuration, each a flag with the prefix `config.`, with their defaults:", fields]
    return "\n".join(text)


def made(workdir: str) -> Path:
    """The folder, made if it is not there; one in a bucket is etils's, which behaves as a Path.

    Raises:
        OSError: if that cannot be.
        ImportError: for a bucket without what reaches it.
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
    except Exception as error:  # of credentials and of HTTP, each library has its own
        raise OSError(f"{type(error).__name__}: {error}") from error


def unwrapped(main: Callable[..., object]) -> Callable[..., object]:
    """The function itself, where some of its arguments are given already."""
    return getattr(main, "func", main)


def define_allow_nonfinite(values: flags.FlagValues) -> None:
    """Define --allow_nonfinite for a command that measures, runs or writes a model; `run` and `answer` obey it."""
    words = "Let a model whose numbers are not finite pass, to study it; without it, that is an error."
    flags.DEFINE_bool("allow_nonfinite", False, words, flag_values=values)


def nonfinite(values: flags.FlagValues) -> AbstractContextManager[None]:
    """The context that --allow_nonfinite asks for."""
    if "allow_nonfinite" not in values or not values.allow_nonfinite:
        return nullcontext()
    from ropelab.models.finite import allow_nonfinite  # imports jax, which not every command needs

    return allow_nonfinite()


def guarded(main: Main, config: Config, workdir: Path, command: str) -> int:
    try:
        return main(config, workdir, command) or 0
    except ValueError as error:
        return fail(" ".join(str(error).split()))
    except OSError as error:
        return fail(of_disk(error))
    except KeyboardInterrupt:
        print("\ninterrupted; what was measured is kept, and the same command goes on from there", file=sys.stderr)
        return 130


def answer(act: Act, values: flags.FlagValues, argv: Sequence[str] | None, *, known_only: bool = False) -> int:
    """For a command line of flags and words, without a configuration: the exit code of `act(values, words, command)`.

    Args:
        known_only: a flag that is not in `values` is a word.
    """
    argv = list(sys.argv if argv is None else argv)
    if "--help" in argv:
        print(help_of(act, values))
        return 0
    try:
        _, *words = values(argv, known_only=known_only)
        with nonfinite(values):
            return act(values, words, command(act, argv))
    except flags.UnrecognizedFlagError as error:
        prefix, _, name = error.flagname.rpartition("config.")
        known = f" This command has no configuration: write --{name}=..." if prefix == "" and name in values else ""
        return fail(" ".join(str(error).split()) + "." + (known or suggest_name(error.flagname, values)))
    except (flags.Error, ValueError) as error:
        return fail(" ".join(str(error).split()))
    except OSError as error:
        return fail(of_disk(error))
    except KeyboardInterrupt as asked:
        print("\ninterrupted", file=sys.stderr)
        return getattr(asked, "code", 130)


REMEDIES = {
    errno.EACCES: "choose another folder, or change the permissions",
    errno.EPERM: "choose another folder, or change the permissions",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENOSPC: "free some space; what is whole is kept, and the same command resumes",
    errno.EDQUOT: "free some space; what is whole is kept, and the same command resumes",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f); the same command resumes",
    errno.ENOENT: "name a file or folder that exists",
    errno.EISDIR: "name a file instead of a folder",
    errno.ENOTDIR: "name a folder instead of a file",
}


def of_disk(error: OSError) -> str:
    """An error of a file as one line: which file, what is wrong, what to do."""
    said = " ".join(str(error.strerror or error).split())
    place = f"{error.filename}: " if error.filename is not None else ""
    remedy = REMEDIES.get(error.errno or 0)
    return f"{place}{said}{f'; {remedy}' if remedy else ''}"


def no_words(words: Sequence[str], remedy: str) -> None:
    """Refuse what is not a flag, where flags are all there is."""
    if words:
        raise ValueError(f"unexpected argument {words[0]!r}; {remedy}")


def command(main: Callable[..., object], argv: Sequence[str]) -> str:
    """The command line that does the same again."""
    plain = (f'"{a}"' if shlex.quote(a) != a and not set(a) & set('"$`\\!') else shlex.quote(a) for a in argv[1:])
    return f"python -m experiments.{Path(inspect.getfile(unwrapped(main))).stem} " + " ".join(plain)


def integers(config: Config, name: str) -> tuple[int, ...]:
    """A field that must be a tuple of integers; flags check the types of fields, but not of what is in them."""
    values: Any = config[name]
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        raise ValueError(f"config.{name}={tuple(values)} must be integers, as in --config.{name}=4096,12288")
    return tuple(values)


def warn_if_slow(dtype: str) -> None:
    """Say in one line that bfloat16 is slow on a CPU, which has no arithmetic of its own for it."""
    if dtype != "bfloat16":
        return
    import jax

    if jax.default_backend() == "cpu":
        print("warning: bfloat16 is slow on a CPU, where it is emulated; float32 is faster", file=sys.stderr)


def folder_of_runs(values: flags.FlagValues, words: Sequence[str]) -> Path:
    """What --workdir names, for a command that reads trainings and has no other words."""
    no_words(words, "the folder of the runs is --workdir")
    if not values.workdir:
        raise ValueError("--workdir is missing; name the folder of the runs")
    return Path(values.workdir)


def lengths(texts: Sequence[str], flag: str = "lengths") -> tuple[int, ...]:
    """What a flag of lengths lists, in ascending order."""
    if not texts or not all(text.strip().isdecimal() and int(text) >= 2 for text in texts):
        raise ValueError(f"--{flag}={','.join(texts)} must be whole numbers from 2 on, as in --{flag}=1024,4096")
    return tuple(sorted({int(text) for text in texts}))


def fail(message: str, code: int = 2) -> int:
    with contextlib.suppress(OSError):  # of a terminal that was closed
        print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit("experiments.launch is used by the commands and is none itself; docs/running.md lists them")
