"""The folder of a run: whose it is, what was asked for, and what each start of it ran on."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
from etils import epath

from ropelab import __version__
from ropelab.training.checkpointing import is_first_process
from ropelab.training.config import TrainConfig, flatten

CONFIG_FILE = "plan.json"
_LATER_SETTINGS = {"adapt_random": "False"}  # that folders of earlier versions do not have, as they were then


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a training wrote there."""
    return (parse_run_path(folder)[0] / CONFIG_FILE).exists()


def parse_run_path(folder: str | os.PathLike[str]) -> tuple[epath.Path, int | None]:
    """`runs/x@100` is the run in runs/x as it was after 100 steps; None is as it is now."""
    text = os.fspath(folder)
    path, _, step = text.rpartition("@")
    known = bool(path) and step.isascii() and step.isdecimal() and len(step) < 20
    return epath.Path(path if known else text).expanduser(), int(step) if known else None


@contextmanager
def lock_folder(folder: epath.Path) -> Iterator[Callable[[], None]]:
    """Hold a folder on a disk for this process alone, as long as it lives.

    Yields:
        A function that raises `OSError` if the folder has been moved or deleted since.

    Raises:
        ValueError: if another training is at work there.
    """
    if "://" in os.fspath(folder) or not is_first_process():
        yield lambda: None
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"another training is at work in {folder}; give it a folder of its own") from None
        opened = os.fstat(lock.fileno())

        def check_there() -> None:
            try:
                now = os.stat(folder / "lock")
            except OSError:
                now = None
            if now is None or not os.path.samestat(opened, now):
                raise OSError(
                    f"{folder} was moved or deleted while the training ran; what was saved and written down went with "
                    "it. Bring it back, or name its new place by --workdir, to go on from its last checkpoint"
                )

        yield check_there


def check_same_config(folder: epath.Path, plan: TrainConfig, accept: Sequence[str]) -> None:
    """Find that the folder's plan is this one, or that there is none yet.

    Args:
        accept: names of settings that may differ.

    Raises:
        ValueError: naming each setting that differs and was not declared, or that was declared and does not exist.
    """
    settings = flatten(plan)
    unknown = sorted(set(accept) - set(settings))
    if unknown:
        raise ValueError(f"--accept names {', '.join(unknown)}; there are {', '.join(sorted(settings))}")
    before = read_config_file(folder)["settings"] if (folder / CONFIG_FILE).exists() else settings
    before = {name: value for name, value in _LATER_SETTINGS.items() if name not in before} | before
    names = sorted(set(before) | set(settings))
    changed = {n: (before.get(n), settings.get(n)) for n in names if before.get(n) != settings.get(n)}
    refused = [f"{n} was {old} and is {new}" for n, (old, new) in changed.items() if n not in accept]
    if refused:
        names = ",".join(n for n in changed if n not in accept)
        raise ValueError(
            f"{folder} holds a training with other settings: {'; '.join(refused)}. "
            f"Take another --workdir, or declare the change: --accept={names}"
        )


def read_config_file(folder: epath.Path) -> dict[str, Any]:
    """What plan.json says: `plan`, a spec, and `settings`, a text for each name.

    Raises:
        ValueError: naming the file, if it is not there or is no plan.
    """
    path = folder / CONFIG_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {type(error).__name__}: {str(error)[:200]}") from None
    texts = found.get("settings") if isinstance(found, dict) else None
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in (found.get("plan"), *texts.values())):
        raise ValueError(f"{path} is no plan of a training, which has 'plan', a text, and 'settings', a text each")
    return found


def write_config_file(folder: epath.Path, plan: TrainConfig) -> None:
    """Have the plan in the folder as it is now."""
    path, unfinished = folder / CONFIG_FILE, folder / f"{CONFIG_FILE}.unfinished"
    text = json.dumps({"plan": repr(plan), "settings": flatten(plan)}, indent=1) + "\n"
    if is_first_process() and not (path.exists() and path.read_text() == text):
        unfinished.write_text(text)
        unfinished.replace(path)


def log_start(folder: epath.Path, **facts: Any) -> None:
    """Append a line about this start: when, where from, on which machine and versions."""
    if not is_first_process():
        return
    devices = jax.devices()
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **facts,
        "ropelab": __version__,
        "jax": jax.__version__,
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "processes": jax.process_count(),
    }
    path, text = folder / "starts.jsonl", (json.dumps(line) + "\n").encode()
    if "://" in os.fspath(folder):
        path.write_bytes((path.read_bytes() if path.exists() else b"") + text)
        return
    with open(path, "ab") as file:
        file.write(text)
