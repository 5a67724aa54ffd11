"""What a sweep is made of: runs as values, and the combinators that make many of few.

    product(chain(run("train", "configs/lex.py:rope", name="rope"),
                  run("train", "configs/lex.py:xpos", name="xpos")), seeds(3))

is six runs, rope-0 to xpos-2. A sweep is a list of runs, and a combinator a function from lists to a list: nothing else
is to be learnt. Names are joined by dashes, fields and flags are united, and what is said twice is refused.
"""

import dataclasses
import fnmatch
import itertools
from collections.abc import Mapping
from typing import Any

FOLDER = "{sweep}"  # in a value: the folder of the sweep, wherever that comes to lie


@dataclasses.dataclass(frozen=True)
class Run:
    """One command: `python -m experiments.<program> --config=<config> --config.<field>=... --<flag>=...`.

    Attributes:
        name: of its folder in the sweep's, which may be a path: "lex/rope-0".
        program: a module of experiments.
        config: a configuration file, with its variant; empty for programs that take none.
        fields: what differs from the file, by dotted name.
        flags: further flags; `workdir` is the run's folder if not given.
        after: names of runs that must be done before.
    """

    name: str = ""
    program: str = ""
    config: str = ""
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    after: tuple[str, ...] = ()


Sweep = list[Run]


def run(
    program: str,
    config: str = "",
    *,
    name: str,
    fields: Mapping[str, Any] | None = None,
    after: tuple[str, ...] = (),
    **flags: Any,
) -> Sweep:
    """A sweep of one run."""
    return [Run(name, program, config, fields or {}, flags, after)]


def chain(*sweeps: Sweep) -> Sweep:
    """All runs of all sweeps; a run that several of them have is there once."""
    found: Sweep = []
    for one in itertools.chain(*sweeps):
        found += [] if one in found else [one]
    return found


def names(sweep: Sweep, *patterns: str) -> tuple[str, ...]:
    """The names of all runs, or of those that are as one of some patterns, to wait for them: "bytes/pi2-*"."""
    kept = [one.name for one in sweep if not patterns or any(fnmatch.fnmatch(one.name, p) for p in patterns)]
    if not kept:
        raise ValueError(f"no run is named as {', '.join(patterns)}")
    return tuple(kept)


def product(*sweeps: Sweep) -> Sweep:
    """Each run of the first with each of the second, and so on, the last changing fastest."""
    return [united(*runs) for runs in itertools.product(*sweeps)]


def zipped(*sweeps: Sweep) -> Sweep:
    """The first of each with the first of the others, and so on.

    Raises:
        ValueError: for sweeps of different lengths.
    """
    if len({len(sweep) for sweep in sweeps}) > 1:
        raise ValueError(f"sweeps of {', '.join(str(len(s)) for s in sweeps)} runs cannot be zipped; give equally many")
    return [united(*runs) for runs in zip(*sweeps, strict=True)]


def vary(field: str, *values: Any) -> Sweep:
    """A field of the configuration set to each value, named after it: `vary("optimizer.lr", 1e-3, 3e-3)`."""
    short = field.rpartition(".")[2]
    return [Run(name=f"{short}={value}", fields={field: value}) for value in values]


def named(**parts: Mapping[str, Any]) -> Sweep:
    """Fields set together, by the name of each set: `named(small={"batch": 8}, large={"batch": 64})`."""
    return [Run(name=name, fields=fields) for name, fields in parts.items()]


def seeds(count: int) -> Sweep:
    """The field `seed`, 0 to count - 1."""
    return [Run(name=str(seed), fields={"seed": seed}) for seed in range(count)]


def with_report(sweep: Sweep, tables: tuple[str, ...]) -> Sweep:
    """A sweep and, after all its runs, the report of these tables."""
    report = run("report", name="report", after=names(sweep), tables=",".join(tables), workdir=FOLDER)
    return chain(sweep, report)


def united(*runs: Run) -> Run:
    """All that several runs say, as one.

    Raises:
        ValueError: for a program, a configuration, a field or a flag that two of them say differently.
    """
    name = "-".join(run.name for run in runs if run.name)
    return Run(
        name,
        agreed(name, "program", *(run.program for run in runs)),
        agreed(name, "config", *(run.config for run in runs)),
        together(name, *(run.fields for run in runs)),
        together(name, *(run.flags for run in runs)),
        tuple(dict.fromkeys(one for run in runs for one in run.after)),
    )


def agreed(name: str, what: str, *values: str) -> str:
    said = list(dict.fromkeys(filter(None, values)))
    if len(said) > 1:
        raise ValueError(f"{name} has {what} {said[0]!r} and {said[1]!r}; say it once")
    return said[0] if said else ""


def together(name: str, *parts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            if found.setdefault(key, value) != value:
                raise ValueError(f"{name} sets {key} to {found[key]!r} and to {value!r}; say it once")
    return found
