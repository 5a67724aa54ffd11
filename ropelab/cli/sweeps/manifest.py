"""The manifest of a sweep: every run with its id, command and dependencies, written before anything starts.

The id of a run is the hash of its program, resolved configuration and flags, so runs with the same id are the same. The
folder of the sweep is not part of the id.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ropelab.cli import configuration, planning
from ropelab.cli.sweeps.runs import FOLDER, Run, Sweep
from ropelab.reporting import files
from ropelab.reporting.run_files import TEXT, read_entries, read_object

# runs start here, and configurations are named from here
ROOT = configuration.CLONE if (configuration.CLONE / "configs").is_dir() else Path.cwd()
NAME = "manifest.json"
Entry = dict[str, Any]  # name, id, command, after, steps


def read_sweep(path: str) -> Sweep:
    """Return the runs of a file's `get_sweep`; a variant follows a colon.

    Raises:
        ValueError: if there is no such function, or it returns no sweep.
    """
    file, _, variant = path.partition(":")
    get_sweep = getattr(configuration.module(file, "sweep", "configs/sweeps/smoke.py"), "get_sweep", None)
    if get_sweep is None:
        raise ValueError(f"--sweep={path}: the file has no function get_sweep")
    try:
        found = get_sweep(variant) if variant else get_sweep()
    except (TypeError, ValueError) as error:
        raise ValueError(f"--sweep={path}: {error}") from None
    if not found or not all(isinstance(one, Run) for one in found):
        raise ValueError(f"--sweep={path}: get_sweep must return a list of runs")
    return list(found)


def make_entries(sweep: Sequence[Run]) -> list[Entry]:
    """Make the manifest of a sweep, sorted so that each run follows those it waits for.

    Raises:
        ValueError: for duplicate names, a run without a program, an unknown or circular dependency, and a configuration
            that cannot be read.
    """
    names = [one.name for one in sweep]
    for one in sweep:
        if names.count(one.name) > 1:
            raise ValueError(f"two runs are named {one.name!r}; rename one")
        if not all(part.strip(".") for part in one.name.split("/")) or not one.program:
            raise ValueError(
                f"the run {one.name!r} of {one.program!r} needs a name, a folder in the sweep's, and a program"
            )
        lost = [name for name in one.after if name not in names]
        if lost:
            raise ValueError(f"{one.name} waits for {lost[0]!r}, which is no run of the sweep")
    return [_make_entry(one) for one in _sort_by_dependency(sweep)]


def _sort_by_dependency(sweep: Sequence[Run]) -> list[Run]:
    done: list[Run] = []
    waiting = list(sweep)
    while waiting:
        ready = [one for one in waiting if set(one.after) <= {earlier.name for earlier in done}]
        if not ready:
            raise ValueError(f"{', '.join(one.name for one in waiting)} wait for each other in a circle")
        done += ready
        waiting = [one for one in waiting if one not in ready]
    return done


def _make_entry(one: Run) -> Entry:
    resolved = _resolve_config(one)
    content = json.dumps([one.program, resolved, dict(one.flags)], sort_keys=True, default=str)
    return {
        "name": one.name,
        "id": hashlib.sha256(content.encode()).hexdigest()[:12],
        "command": _command(one),
        "after": list(one.after),
        "steps": resolved.get("steps"),
    }


def _resolve_config(one: Run) -> dict[str, Any]:
    """Return the configuration of a run with its overrides.

    Raises:
        ValueError: for a file or field that does not exist, or a value of the wrong type.
    """
    if not one.config:
        if one.fields:
            raise ValueError(f"{one.name} has fields and no configuration; give flags instead, or a configuration")
        return {}
    config = configuration.read(_config_path(one))
    if one.program == "train":
        config = configuration.completed(config, planning.defaults(), "config")
    for field, value in one.fields.items():
        try:
            configuration.check_flag(config, field, str(value))
            config.update_from_flattened_dict({field: value})
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{one.name}: {error}") from None
    return config.to_dict()


def _config_path(one: Run, start: Path | None = None) -> str:
    """Return the configuration of a run, found from `ROOT` or else from the current folder.

    Args:
        start: leave it relative where it is found from here.
    """
    file, colon, variant = one.config.partition(":")
    here = ROOT if (ROOT / file).is_file() or not Path(file).is_file() else Path.cwd()
    return one.config if here == start else f"{here / file}{colon}{variant}"


def _command(one: Run) -> list[str]:
    """Return the words of the command, with `FOLDER` for the sweep's folder."""
    flags = {"workdir": f"{FOLDER}/{one.name}"} | dict(one.flags)
    config = [f"--config={_config_path(one, ROOT)}"] if one.config else []
    fields = [f"--config.{field}={value}" for field, value in one.fields.items()]
    program = [one.program] if "." in one.program else ["ropelab.cli", one.program]
    return [*program, *config, *fields, *(f"--{name}={value}" for name, value in flags.items())]


def command_words(found: Entry, folder: Path) -> list[str]:
    """Return the command as this machine runs it, from `ROOT`.

    A sweep inside `ROOT` is named relative to it: the model that a training extends is one of its settings, and with an
    absolute path a clone that was moved could not resume.
    """
    place = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    return [sys.executable, "-m", *(word.replace(FOLDER, str(place)) for word in found["command"])]


def write(folder: Path, found: Sequence[Entry]) -> None:
    """Write the manifest to the sweep's folder.

    Raises:
        ValueError: if a run of the same name has begun there with another id.
    """
    for one in found:
        path = folder / one["name"] / "run.json"
        try:
            before = read_object(path, {"id": TEXT})["id"] if path.is_file() else one["id"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}); remove that folder") from None
        if before != one["id"]:
            raise ValueError(
                f"{path.parent} holds a run with other settings ({before}, now {one['id']}); "
                "take another --workdir, rename the run, or remove that folder"
            )
    files.write_json(folder / NAME, list(found))


def read(folder: Path) -> list[Entry]:
    return read_entries(folder / NAME)
