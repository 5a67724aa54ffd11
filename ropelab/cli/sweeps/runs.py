"""Runs as values, and the combinators that make sweeps of them.

    product(chain(run("train", "experiments/papers/lex/config.py:rope", name="rope"),
                  run("train", "experiments/papers/lex/config.py:xpos", name="xpos")), seeds(3))

is six runs, rope-0 to xpos-2. A sweep is a list of runs, and a combinator is a function from lists to a list. Names are
joined by dashes, fields and flags are merged, and conflicting values raise an error.
"""

import dataclasses
import fnmatch
import itertools
from collections.abc import Mapping
from typing import Any

FOLDER = "{sweep}"  # stands for the folder of the sweep in a value


@dataclasses.dataclass(frozen=True)
class Run:
    """One command: `ropelab <program> --config=<config> --config.<field>=... --<flag>=...`.

    Attributes:
        name: of its folder in the sweep's, which may be a path: "lex/rope-0".
        program: a command of ropelab, or the dotted name of a module that `python -m` runs.
        config: a configuration file, with its variant; empty for programs without one.
        fields: overrides of the file, by dotted name.
        flags: further flags; `workdir` is the run's folder if not given.
        after: names of runs that must be done first.
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
    """Make a sweep of one run."""
    return [Run(name, program, config, fields or {}, flags, after)]


def chain(*sweeps: Sweep) -> Sweep:
    """Concatenate sweeps; equal runs are kept once."""
    found: Sweep = []
    for one in itertools.chain(*sweeps):
        found += [] if one in found else [one]
    return found


def names(sweep: Sweep, *patterns: str) -> tuple[str, ...]:
    """Return the names of all runs, or of those that match a pattern such as "bytes/pi2-*", to wait for them."""
    kept = [one.name for one in sweep if not patterns or any(fnmatch.fnmatch(one.name, p) for p in patterns)]
    if not kept:
        raise ValueError(f"no run matches {', '.join(patterns)}")
    return tuple(kept)


def product(*sweeps: Sweep) -> Sweep:
    """Combine each run of the first sweep with each of the second, and so on, the last changing fastest."""
    return [_merge_runs(*runs) for runs in itertools.product(*sweeps)]


def zip_runs(*sweeps: Sweep) -> Sweep:
    """Combine the first run of each sweep, the second of each, and so on.

    Raises:
        ValueError: for sweeps of different lengths.
    """
    if len({len(sweep) for sweep in sweeps}) > 1:
        raise ValueError(
            f"sweeps of {', '.join(str(len(s)) for s in sweeps)} runs cannot be zipped; give the same number"
        )
    return [_merge_runs(*runs) for runs in zip(*sweeps, strict=True)]


def vary(field: str, *values: Any) -> Sweep:
    """Set a field of the configuration to each value: `vary("optimizer.lr", 1e-3, 3e-3)`."""
    short = field.rpartition(".")[2]
    return [Run(name=f"{short}={value}", fields={field: value}) for value in values]


def variants(**parts: Mapping[str, Any]) -> Sweep:
    """Set fields together, by a name for each set: `variants(small={"batch": 8}, large={"batch": 64})`."""
    return [Run(name=name, fields=fields) for name, fields in parts.items()]


def seeds(count: int) -> Sweep:
    """Set the field `seed` to 0, ..., count - 1."""
    return [Run(name=str(seed), fields={"seed": seed}) for seed in range(count)]


def with_report(sweep: Sweep, tables: tuple[str, ...], claims: str = "experiments/papers/claims.py") -> Sweep:
    """Add a report of these tables, defined in a file of claims, after all runs of a sweep."""
    made = run("report", name="report", after=names(sweep), claims=claims, tables=",".join(tables), workdir=FOLDER)
    return chain(sweep, made)


def _merge_runs(*runs: Run) -> Run:
    """Merge runs into one.

    Raises:
        ValueError: for a program, configuration, field or flag that two of them set to different values.
    """
    name = "-".join(run.name for run in runs if run.name)
    return Run(
        name,
        _merge_names(name, "program", *(run.program for run in runs)),
        _merge_names(name, "config", *(run.config for run in runs)),
        _merge_mappings(name, *(run.fields for run in runs)),
        _merge_mappings(name, *(run.flags for run in runs)),
        tuple(dict.fromkeys(one for run in runs for one in run.after)),
    )


def _merge_names(name: str, what: str, *values: str) -> str:
    said = list(dict.fromkeys(filter(None, values)))
    if len(said) > 1:
        raise ValueError(f"{name} has {what} {said[0]!r} and {said[1]!r}; set it once")
    return said[0] if said else ""


def _merge_mappings(name: str, *parts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            if found.setdefault(key, value) != value:
                raise ValueError(f"{name} sets {key} to {found[key]!r} and to {value!r}; set it once")
    return found
