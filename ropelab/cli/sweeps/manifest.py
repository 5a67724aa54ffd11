"""What a sweep will do, written down before anything starts: every run with its id, its command and what it waits for.

The id of a run is the hash of its resolved configuration, its flags and its program: two runs with the same id do the
same, and a run whose id has changed is another one. The folder of the sweep is no part of an id.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments import configuration, planning
from experiments.sweeps.runs import FOLDER, Run, Sweep
from ropelab.reporting import files
from ropelab.reporting.schema import TEXT, read_entries, read_object

ROOT = Path(__file__).parents[2]
NAME = "manifest.json"
Entry = dict[str, Any]  # name, id, command, after, steps


def read_sweep(path: str) -> Sweep:
    """The runs of a file's `get_sweep`, a variant after a colon.

    Raises:
        ValueError: if there is none, or it makes no sweep.
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
        raise ValueError(f"--sweep={path}: get_sweep gives no list of runs")
    return list(found)


def entries(sweep: Sequence[Run]) -> list[Entry]:
    """The manifest of a sweep, in an order in which nothing comes before what it waits for.

    Raises:
        ValueError: for two runs of a name, a run without a program, a wait for nothing or in a circle, and a
            configuration that cannot be read.
    """
    names = [one.name for one in sweep]
    for one in sweep:
        if names.count(one.name) > 1:
            raise ValueError(f"two runs are named {one.name!r}; name them apart")
        if not all(part.strip(".") for part in one.name.split("/")) or not one.program:
            raise ValueError(
                f"the run {one.name!r} of {one.program!r} needs a name, a folder in the sweep's, and a program"
            )
        lost = [name for name in one.after if name not in names]
        if lost:
            raise ValueError(f"{one.name} waits for {lost[0]!r}, which is no run of the sweep")
    return [entry(one) for one in ordered(sweep)]


def ordered(sweep: Sequence[Run]) -> list[Run]:
    done: list[Run] = []
    waiting = list(sweep)
    while waiting:
        ready = [one for one in waiting if set(one.after) <= {earlier.name for earlier in done}]
        if not ready:
            raise ValueError(f"{', '.join(one.name for one in waiting)} wait for each other in a circle")
        done += ready
        waiting = [one for one in waiting if one not in ready]
    return done


def entry(one: Run) -> Entry:
    resolved = configured(one)
    said = json.dumps([one.program, resolved, dict(one.flags)], sort_keys=True, default=str)
    return {
        "name": one.name,
        "id": hashlib.sha256(said.encode()).hexdigest()[:12],
        "command": command(one),
        "after": list(one.after),
        "steps": resolved.get("steps"),
    }


def configured(one: Run) -> dict[str, Any]:
    """The configuration with the run's fields in it.

    Raises:
        ValueError: for a file or a field that does not exist, or a value that is not of its field's kind.
    """
    if not one.config:
        if one.fields:
            raise ValueError(f"{one.name} has fields and no configuration; give flags, or a configuration")
        return {}
    config = configuration.read(str(ROOT / one.config))
    if one.program == "train":
        config = configuration.completed(config, planning.defaults(), "config")
    for field, value in one.fields.items():
        try:
            configuration.check_flag(config, field, str(value))
            config.update_from_flattened_dict({field: value})
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{one.name}: {error}") from None
    return config.to_dict()


def command(one: Run) -> list[str]:
    """The words of the command, the sweep's folder as `FOLDER`."""
    flags = {"workdir": f"{FOLDER}/{one.name}"} | dict(one.flags)
    config = [f"--config={one.config}"] if one.config else []
    fields = [f"--config.{field}={value}" for field, value in one.fields.items()]
    return [f"experiments.{one.program}", *config, *fields, *(f"--{name}={value}" for name, value in flags.items())]


def words(found: Entry, folder: Path) -> list[str]:
    """The command as this machine runs it, in the repository's folder.

    A sweep within that folder is named from there: what a training begins from is a setting of it, and with the whole
    path in it the training would be refused where the repository has come to lie elsewhere.
    """
    place = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    return [sys.executable, "-m", *(word.replace(FOLDER, str(place)) for word in found["command"])]


def write(folder: Path, found: Sequence[Entry]) -> None:
    """Have the manifest in the sweep's folder.

    Raises:
        ValueError: if a run of the same name stands there with another id, and has begun.
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
                "take another --workdir, name the run anew, or remove that folder"
            )
    files.write_json(folder / NAME, list(found))


def read(folder: Path) -> list[Entry]:
    return read_entries(folder / NAME)
