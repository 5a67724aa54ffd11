"""The folder of a measurement: one process at a time, and settings that stay what they were.

A folder whose results were made under other settings is refused instead of overwritten, as a training's is, and so is a
folder of another program. The same settings resume: passes that are measured are kept.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SETTINGS = "config.json"
PROGRAMS = {"plan.json": "a training", "manifest.json": "a sweep", "settings.json": "an evaluation", SETTINGS: "a swap"}


@contextmanager
def lock_workdir(folder: Path, settings: Mapping[str, Any], accept: Sequence[str] = ()) -> Iterator[None]:
    """Hold a folder on a disk for this process, if it is free, and its settings are these or there are none yet.

    Args:
        accept: names of settings that may differ.

    Raises:
        ValueError: if another process is at work there, or the folder holds something else.
    """
    refuse_others(folder, SETTINGS)
    if "://" in str(folder):
        check_settings(folder, settings, accept)
        yield
        return
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"another process is at work in {folder}; wait for it, or take another --workdir"
            ) from None
        check_settings(folder, settings, accept)
        yield


def refuse_others(folder: Path, own: str) -> None:
    """Refuse a folder in which another program keeps its results.

    Args:
        own: the file of `PROGRAMS` that the caller writes itself.
    """
    for name, program in PROGRAMS.items():
        if name != own and (folder / name).exists() and not (folder / own).exists():
            raise ValueError(f"--workdir={folder} holds {program} ({name}); take another --workdir")


def check_settings(folder: Path, settings: Mapping[str, Any], accept: Sequence[str]) -> None:
    """Raise ValueError for each setting that differs from those the folder was begun with, unless it is accepted."""
    unknown = [name for name in accept if name not in settings]
    if unknown:
        raise ValueError(f"--accept names {', '.join(unknown)}; there are {', '.join(sorted(settings))}")
    path = folder / SETTINGS
    now = json.loads(json.dumps(settings, default=str))
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else now
        changed = {n: (before.get(n), now.get(n)) for n in {**before, **now} if before.get(n) != now.get(n)}
    except (ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); take another --workdir, or remove that file") from None
    refused = {name: pair for name, pair in changed.items() if name not in accept}
    if refused:
        told = "; ".join(f"{name} was {old!r} and is {new!r}" for name, (old, new) in refused.items())
        raise ValueError(
            f"{folder} holds results under other settings: {told}. Take another --workdir, or replace those results "
            f"and keep what is measured: --accept={','.join(refused)}"
        )


if __name__ == "__main__":
    raise SystemExit("experiments.workdirs is used by the commands and is none itself; docs/running.md lists them")
