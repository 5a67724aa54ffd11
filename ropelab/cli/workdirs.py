"""Lock the folder of a measurement and check that its settings did not change.

A folder with results under other settings, or of another command, raises an error instead of being overwritten. The
same settings resume: finished measurements are kept.
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
    """Lock a folder for this process, and check or write its settings.

    Args:
        accept: names of settings that may differ.

    Raises:
        ValueError: if another process uses the folder, or it has other contents or settings.
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
            raise ValueError(f"another process uses {folder}; wait for it, or choose another --workdir") from None
        check_settings(folder, settings, accept)
        yield


def refuse_others(folder: Path, own: str) -> None:
    """Raise ValueError for a folder with the results of another command.

    Args:
        own: the file of `PROGRAMS` that the caller writes.
    """
    for name, program in PROGRAMS.items():
        if name != own and (folder / name).exists() and not (folder / own).exists():
            raise ValueError(f"--workdir={folder} has {program} ({name}); choose another --workdir")


def check_settings(folder: Path, settings: Mapping[str, Any], accept: Sequence[str]) -> None:
    """Raise ValueError if a setting differs from the folder's and is not accepted."""
    unknown = [name for name in accept if name not in settings]
    if unknown:
        raise ValueError(f"--accept names {', '.join(unknown)}; there are {', '.join(sorted(settings))}")
    path = folder / SETTINGS
    now = json.loads(json.dumps(settings, default=str))
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else now
        changed = {n: (before.get(n), now.get(n)) for n in {**before, **now} if before.get(n) != now.get(n)}
    except (ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); choose another --workdir, or remove that file") from None
    refused = {name: pair for name, pair in changed.items() if name not in accept}
    if refused:
        told = "; ".join(f"{name} was {old!r} and is {new!r}" for name, (old, new) in refused.items())
        raise ValueError(
            f"{folder} has results under other settings: {told}. Choose another --workdir, or replace those results "
            f"and keep finished measurements: --accept={','.join(refused)}"
        )
