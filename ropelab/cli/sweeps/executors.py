"""Where the runs of a sweep run: processes of this machine, jobs of Slurm, tasks of Ray. Each starts `sweeps.one`.

An executor starts a run as a job, which says whether it has ended; what became of the run, and that it is asked to
stop, stands in the run's folder. So a sweep is the same wherever it runs.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from experiments.sweeps import one
from experiments.sweeps.manifest import ROOT

WAIT = 0.2  # seconds between two looks


class Options(NamedTuple):
    """How a sweep is run.

    Attributes:
        parallel: runs at once.
        retries: further attempts of a run that failed.
        resources: of submitit's executor or Ray's tasks, by their own names: {"timeout_min": 60, "gpus_per_node": 1}.
    """

    parallel: int
    retries: int
    resources: Mapping[str, Any]


class Job(Protocol):
    """A run under way."""

    def ended(self) -> bool: ...


class Process:
    """A run as a process of this machine."""

    def __init__(self, folder: Path, name: str, options: Options):
        words = [sys.executable, "-m", "experiments.sweeps.one", str(folder), name, str(options.retries)]
        self.process = subprocess.Popen(words, cwd=ROOT, start_new_session=True)

    def ended(self) -> bool:
        return self.process.poll() is not None


class SlurmJob:
    """A run as a job of submitit, whose executor is Slurm's where there is one and else processes of this machine."""

    def __init__(self, folder: Path, name: str, options: Options):
        submitit = wanted("submitit")
        executor = submitit.AutoExecutor(folder=folder / name / "submitit")
        executor.update_parameters(name=name, **{"timeout_min": 60, **options.resources})
        self.job = executor.submit(one.perform, folder, name, retries=options.retries)

    def ended(self) -> bool:
        return self.job.done()


class RayTask:
    """A run as a task of Ray, on this machine or the cluster that RAY_ADDRESS names."""

    def __init__(self, folder: Path, name: str, options: Options):
        self.ray = wanted("ray")
        if not self.ray.is_initialized():
            ours = signal.getsignal(signal.SIGTERM)
            self.ray.init(logging_level="error")
            signal.signal(signal.SIGTERM, ours)  # in whose place Ray puts one that ends this process at once
        # the command is a process of its own, so a retry is ours and not Ray's
        remote = self.ray.remote(**{"num_cpus": 1, "max_retries": 0, **options.resources})(one.perform)
        self.task = remote.remote(folder, name, retries=options.retries)

    def ended(self) -> bool:
        return bool(self.ray.wait([self.task], timeout=0)[0])


# by the names of their extras, as `wanted` says them
EXECUTORS: dict[str, Callable[[Path, str, Options], Job]] = {"local": Process, "submitit": SlurmJob, "ray": RayTask}


def wanted(name: str) -> Any:
    """An optional package.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        return __import__(name)
    except ImportError as missing:
        raise ValueError(f"--executor={name} needs it ({missing}); pip install 'ropelab[{name}]'") from None


def run_all(
    start: Callable[[Path, str, Options], Job],
    folder: Path,
    runs: list[dict[str, Any]],
    options: Options,
    look: Callable[[], object],
) -> Iterator[str]:
    """Run runs, as many at once as may be, each after those that it waits for; yield the names of those that ended.

    Args:
        runs: entries of the manifest, in its order.
        look: called between two looks at what is under way.
    """
    waiting, under_way = list(runs), {}
    unfinished = {entry["name"] for entry in runs}
    try:
        while waiting or under_way:
            for entry in list(waiting):
                if len(under_way) >= options.parallel:
                    break
                before = [name for name in entry["after"] if name in unfinished]
                if before:
                    continue
                waiting.remove(entry)
                if any(one.state(folder, name)["state"] != one.DONE for name in entry["after"]):
                    unfinished.discard(entry["name"])
                    yield entry["name"]
                    continue
                one.let_run(folder, entry["name"])
                under_way[entry["name"]] = start(folder, entry["name"], options)
            for name in [name for name, job in under_way.items() if job.ended()]:
                del under_way[name]
                unfinished.discard(name)
                yield name
            look()
            time.sleep(WAIT)
    finally:
        stop(folder, list(under_way))


def stop(folder: Path, names: list[str]) -> None:
    """Ask runs to save and end, and wait for those that have begun; the others end as soon as they begin."""
    for name in names:
        one.ask_to_stop(folder, name)
    while any(one.state(folder, name)["state"] == one.RUNNING for name in names):
        time.sleep(WAIT)
