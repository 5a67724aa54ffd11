"""Checkpoints of a run: written while training goes on, sealed, kept, and the newest good one found again.

    <folder>/120/state/…, data/…    Orbax's, in the background
    <folder>/120/manifest.json      ours, last: a step without it was never finished

A step that was damaged since is set aside as `damaged-120` and the one before it restored. Only steps, and what Orbax
leaves of one that it did not finish, are ever deleted; anything else in the folder is the user's. Orbax waits for all
processes; the manifest and the removal of old steps are the first process's.
"""

import errno
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils

from ropelab.spec import Spec, at_least, spec
from ropelab.training import manifest
from ropelab.training.manifest import DamagedError
from ropelab.training.step_folders import absolute, find_unfinished, is_link, sealed_steps, unused_path

PATIENCE = 60.0  # seconds in which a reader tries steps that a training replaces meanwhile
MISSING = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


@spec
class Saving(Spec):
    """When to save and what to keep.

    Attributes:
        every: steps; 0 saves at the end alone.
        keep: the last so many.
        best: and the so many with the lowest loss on held-out text.
    """

    every: int = 1000
    keep: int = 2
    best: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, self, "every", "best")
        at_least(1, self, "keep")


def is_news(record: logging.LogRecord) -> bool:
    """Whether a message says more than that a save failed: `Checkpoints.check` raises that, and Orbax logs pages."""
    of_orbax = record.levelno >= logging.ERROR and "orbax" in record.pathname
    of_a_save = record.name == "asyncio" and ".orbax-checkpoint-tmp" in record.getMessage()
    return not (of_orbax or of_a_save)


for name in ("absl", "asyncio"):
    logging.getLogger(name).addFilter(is_news)


class Restored(NamedTuple):
    """A checkpoint read back: the state, the position in the data, what else was said of it."""

    step: int
    state: Any
    data: dict[str, Any]
    facts: dict[str, Any]


class Checkpoints:
    """The checkpoints in a folder.

    Args:
        said: called with a line about a damaged step.
        writes: whether the folder may be changed; what is only read is left as it is, damaged or not.

    Raises:
        ValueError: if a folder with a step's name has files in it that no training wrote.
    """

    def __init__(self, folder: epath.Path, saving: Saving, *, said: Any = print, writes: bool = True):
        self.folder, self.saving, self.said, self.writes = absolute(folder), saving, said, writes
        self._orbax = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
        self._sealing: threading.Thread | None = None
        self._failure: BaseException | None = None
        if first_process() and writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in find_unfinished(self.folder):
                path.rmtree()
        together("ropelab-checkpoints")

    def save(self, step: int, state: Any, data: dict[str, Any], facts: dict[str, Any]) -> None:
        """Begin to save; returns when the arrays may change again.

        Raises:
            OSError: if this or the save before it could not be written.
        """
        self.finish()
        told = facts | {"step": step, "arrays": manifest.array_sums(state), "shapes": manifest.shapes(state)}
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), data=ocp.args.JsonSave(data))
        self._orbax.save(self.folder / str(step), args=items)
        if first_process():
            self._sealing = threading.Thread(target=self._seal, args=(step, told))
            self._sealing.start()

    def _seal(self, step: int, facts: dict[str, Any]) -> None:
        try:
            self._orbax.wait_until_finished()
            manifest.write(self.folder / str(step), facts)
            self._remove_old()
        except BaseException as failure:  # of the thread; `finish` raises it where the training sees it
            self._failure = failure

    def finish(self) -> None:
        """Wait until what was begun is on disk and sealed."""
        self._orbax.wait_until_finished()
        if self._sealing is not None:
            self._sealing.join()
            self._sealing = None
        self.check()

    def check(self) -> None:
        """Raise `OSError` if what is being written in the background could not be."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise OSError(
                f"a checkpoint in {self.folder} could not be written: {short(failure)}; when it can be, the same "
                "command goes on from the one before"
            ) from failure

    def steps(self) -> list[int]:
        """The sealed steps, ascending."""
        return sealed_steps(self.folder)

    def restore(self, like: Callable[[int], Any], only: int | None = None) -> Restored | None:
        """The newest step that is what was saved; None if nothing was saved.

        A training at work in the folder may remove a step while it is read here; the steps are then listed anew.

        Args:
            like: the shapes, types and places of the state after so many steps.
            only: the step to read; any if not given.

        Raises:
            DamagedError: if no step is.
            ValueError: if the arrays of a step are not those of `like`.
        """
        give_up = time.monotonic() + PATIENCE
        seen = False
        while True:
            steps = [step for step in self.steps() if only in (None, step)]
            found, replaced = self._newest(like, steps)
            # a listing may be empty between the removal of the only step and the next: not after one was seen
            seen = seen or bool(steps)
            if found is not None or not seen:
                return found
            if steps and not replaced:
                raise DamagedError(
                    f"no checkpoint in {self.folder} is whole; to begin anew, take another folder or move this one away"
                )
            if time.monotonic() > give_up:
                raise ValueError(
                    f"every checkpoint in {self.folder} was replaced while it was read; try again when the training "
                    "has ended, or have it keep more by saving.keep"
                )
            if not steps:
                time.sleep(0.01)

    def _newest(self, like: Callable[[int], Any], steps: Sequence[int]) -> tuple[Restored | None, bool]:
        """The newest whole one of these steps, and whether one of them was replaced meanwhile."""
        replaced = False
        for step in reversed(steps):
            seal = self._seal_of(step)
            try:
                return self._read(step, like(step)), replaced
            except (DamagedError, FileNotFoundError) as failure:
                if seal is None or self._seal_of(step) != seal:
                    replaced = True
                else:
                    self._set_aside(step, failure)
        return None, replaced

    def _seal_of(self, step: int) -> bytes | None:
        """The manifest as it is on disk; None if the step is gone."""
        try:
            return (self.folder / str(step) / manifest.NAME).read_bytes()
        except OSError:
            return None

    def _read(self, step: int, abstract: Any) -> Restored:
        path = self.folder / str(step)
        facts = manifest.read(path)
        manifest.check_shapes(facts, abstract, path)
        items = ocp.args.Composite(state=ocp.args.StandardRestore(abstract), data=ocp.args.JsonRestore())
        try:
            found = self._orbax.restore(path, args=items)
        except Exception as error:
            if of_the_machine(error):
                raise
            kind = DamagedError if facts.get("shapes") else ValueError
            raise kind(f"{path} cannot be read: {type(error).__name__}: {short(error)}") from error
        manifest.check_sums(found.state, facts["arrays"], path)
        return Restored(step, found.state, found.data, facts)

    def _set_aside(self, step: int, damage: Exception) -> None:
        self.said(f"{damage}; going back to the checkpoint before it")
        together(f"ropelab-damaged-{step}")
        if first_process() and self.writes:
            (self.folder / str(step)).rename(unused_path(self.folder, f"damaged-{step}"))
        together(f"ropelab-set-aside-{step}")

    def _remove_old(self) -> None:
        steps = [step for step in self.steps() if not is_link(self.folder / str(step))]
        losses = {step: self._loss(step) for step in steps} if self.saving.best else {}
        ranked = sorted((loss, step) for step, loss in losses.items() if loss is not None)
        kept = {*steps[-self.saving.keep :], *(step for _, step in ranked[: self.saving.best])}
        for step in steps:
            if step not in kept:
                # Unsealed first: a removal that is cut short leaves a step that was never finished, not a damaged one.
                (self.folder / str(step) / manifest.NAME).unlink()
                (self.folder / str(step)).rmtree()

    def _loss(self, step: int) -> float | None:
        try:
            return manifest.said_of(self.folder / str(step)).get("loss")
        except DamagedError:
            return None

    def close(self) -> None:
        self.finish()
        self._orbax.close()


def of_the_machine(error: Exception) -> bool:
    """Whether reading failed for want of memory or rights, which says nothing of the checkpoint."""
    if isinstance(error, OSError):
        return error.errno not in MISSING
    return isinstance(error, MemoryError | jax.errors.JaxRuntimeError) or "RESOURCE_EXHAUSTED" in str(error)


def short(error: BaseException) -> str:
    """The first line of a message, 200 letters at most."""
    return (str(error).strip().splitlines() or [""])[0][:200]


def first_process() -> bool:
    return jax.process_index() == 0


def together(name: str) -> None:
    """Wait for all processes."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
