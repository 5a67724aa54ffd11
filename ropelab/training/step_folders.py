"""The folders in checkpoints/ of a run: which are steps, which were never finished, which are the user's."""

import os
import re

from etils import epath

from ropelab.training import manifest

STEP = re.compile(r"0|[1-9][0-9]*")
UNFINISHED = re.compile(r"(0|[1-9][0-9]*)\.orbax-checkpoint-tmp(-[0-9]+)?")
WRITTEN = re.compile(  # what is in a step's folder: Orbax's, and the manifest
    r"state|data|_CHECKPOINT_METADATA|commit_success\.txt|manifest\.json(\.unfinished)?|.*\.orbax-checkpoint-tmp.*"
)


def sealed_steps(folder: epath.Path) -> list[int]:
    """The steps that were finished, ascending; none if there is no such folder."""
    return sorted(int(path.name) for path in inside(folder) if is_sealed(path))


def inside(folder: epath.Path) -> list[epath.Path]:
    """What is in a folder; nothing if there is none, as an empty one in a bucket, which does not exist."""
    return list(folder.iterdir()) if folder.exists() else []


def absolute(folder: epath.Path) -> epath.Path:
    """As Orbax wants it; an address in a bucket is."""
    return folder if "://" in os.fspath(folder) else epath.Path(os.path.abspath(folder))


def is_sealed(path: epath.Path) -> bool:
    return STEP.fullmatch(path.name) is not None and (path / manifest.NAME).exists()


def find_unfinished(folder: epath.Path) -> list[epath.Path]:
    """What was begun in a folder by a training and never sealed.

    Raises:
        ValueError: if a folder with a step's name has files in it that no training wrote.
    """
    begun = [path for path in inside(folder) if STEP.fullmatch(path.name) and not is_sealed(path)]
    for path in begun:
        strange = not path.is_dir() or is_link(path)
        names = [] if strange else [one.name for one in inside(path) if not WRITTEN.fullmatch(one.name)]
        if strange or names:
            raise ValueError(
                f"{path}{' has ' + names[0] + ' in it and' if names else ''} is no checkpoint; move it away"
            )
    left = [path for path in inside(folder) if UNFINISHED.fullmatch(path.name) and path.is_dir() and not is_link(path)]
    return begun + left


def is_link(path: epath.Path) -> bool:
    """Whether it is a symbolic link; there are none in a bucket."""
    return "://" not in os.fspath(path) and os.path.islink(path)


def unused_path(folder: epath.Path, name: str) -> epath.Path:
    """A path of this name in the folder, numbered from the second on."""
    path, number = folder / name, 1
    while path.exists():
        path, number = folder / f"{name}-{number + 1}", number + 1
    return path
