"""Executors of a sweep: processes of this machine, jobs of Slurm, tasks of Ray. Each starts a worker.

An executor starts a run as a job, which knows whether it has ended. The state of the run, and a request to stop it, are
files in the run's folder, so a sweep works the same on every executor.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ropelab.cli.sweeps import worker
from ropelab.cli.sweeps.manifest import ROOT

WAIT = 0.2  # seconds between polls


class Options(NamedTuple):
    """Settings of an executor.

    Attributes:
        parallel: runs at the same time.
        retries: further attempts of a run that failed.
        resources: for submitit's executor or Ray's tasks, by their own names: {"timeout_min": 60, "gpus_per_node": 1}.
    """

    parallel: int
    retries: int
    resources: Mapping[str, Any]


class Job(Protocol):
    """A run in progress."""

    def has_ended(self) -> bool: ...


class Process:
    """A run as a process of this machine."""

    def __init__(self, folder: Path, name: str, options: Options):
        words = [sys.executable, "-m", "ropelab.cli.sweeps.worker", str(folder), name, str(options.retries)]
        self.process = subprocess.Popen(words, cwd=ROOT, start_new_session=True)

    def has_ended(self) -> bool:
        return self.process.poll() is not None


class SlurmJob:
    """A run as a job of submitit, which uses Slurm where it is available and processes of this machine elsewhere."""

    def __init__(self, folder: Path, name: str, options: Options):
        submitit = _import_optional("submitit")
        executor = submitit.AutoExecutor(folder=folder / name / "submitit")
        executor.update_parameters(name=name, **{"timeout_min": 60, **options.resources})
        self.job = executor.submit(worker.perform, folder, name, retries=options.retries)

    def has_ended(self) -> bool:
        return self.job.done()


class RayTask:
    """A run as a task of Ray, on this machine or on the cluster of RAY_ADDRESS."""

    def __init__(self, folder: Path, name: str, options: Options):
        self.ray = _import_optional("ray")
        if not self.ray.is_initialized():
            handler = signal.getsignal(signal.SIGTERM)
            self.ray.init(logging_level="error")
            signal.signal(signal.SIGTERM, handler)  # Ray installs one that ends this process at once
        # the command is a separate process, so retries are ours and not Ray's
        remote = self.ray.remote(**{"num_cpus": 1, "max_retries": 0, **options.resources})(worker.perform)
        self.task = remote.remote(folder, name, retries=options.retries)

    def has_ended(self) -> bool:
        return bool(self.ray.wait([self.task], timeout=0)[0])


# by the names of their extras, which `_import_optional` prints
EXECUTORS: dict[str, Callable[[Path, str, Options], Job]] = {"local": Process, "submitit": SlurmJob, "ray": RayTask}


def run_all(
    start: Callable[[Path, str, Options], Job],
    folder: Path,
    runs: list[dict[str, Any]],
    options: Options,
    on_poll: Callable[[], object],
) -> Iterator[str]:
    """Run all runs in parallel, each after those that it waits for, and yield the names of those that ended.

    Args:
        runs: entries of the manifest, in its order.
        on_poll: called after each poll of the runs in progress.
    """
    waiting, running = list(runs), {}
    unfinished = {entry["name"] for entry in runs}
    try:
        while waiting or running:
            for entry in list(waiting):
                if len(running) >= options.parallel:
                    break
                if any(name in unfinished for name in entry["after"]):
                    continue
                waiting.remove(entry)
                if any(worker.read_state(folder, name)["state"] != worker.DONE for name in entry["after"]):
                    unfinished.discard(entry["name"])
                    yield entry["name"]
                    continue
                worker.clear_stop(folder, entry["name"])
                running[entry["name"]] = start(folder, entry["name"], options)
            for name in [name for name, job in running.items() if job.has_ended()]:
                del running[name]
                unfinished.discard(name)
                yield name
            on_poll()
            time.sleep(WAIT)
    finally:
        _stop_all(folder, list(running))


def _import_optional(name: str) -> Any:
    """Import an optional package.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        return __import__(name)
    except ImportError as missing:
        raise ValueError(f"--executor={name} needs it ({missing}); pip install 'ropelab[{name}]'") from None


def _stop_all(folder: Path, names: list[str]) -> None:
    """Request runs to save and stop, and wait for those that have begun; the others stop as soon as they begin."""
    for name in names:
        worker.request_stop(folder, name)
    while any(worker.read_state(folder, name)["state"] == worker.RUNNING for name in names):
        time.sleep(WAIT)
