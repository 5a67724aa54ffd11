"""Several processes as one training: how they find each other, and what they tell each other besides arrays."""

import json
import re
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from ropelab.training.clusters import own_devices, several_processes


def init_distributed(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Join the other processes of this job; in a single one, do nothing. To be called before anything else of jax.

    Without arguments, TPU pods, Slurm, Open MPI and Kubernetes are recognised.

    Args:
        coordinator: "host:port" of process 0, a free port.
        processes, process: how many there are, and which this is, from 0. `processes=1` alone is a single one, whatever
            the environment says.

    Raises:
        ValueError: if the three are not given together or cannot be, or the environment names others that jax cannot
            find.
    """
    given = (coordinator, processes, process)
    if given == (None, 1, None):
        return
    if given != (None, None, None):
        check(*given)
        jax.distributed.initialize(coordinator, processes, process)
    elif several_processes():
        jax.distributed.initialize(local_device_ids=own_devices())


def check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Raise `ValueError` unless this is one of so many processes that can meet."""
    if coordinator is None or processes is None or process is None:
        raise ValueError("coordinator, processes and process are given together: host:port, 4 and 0 to 3")
    if not re.fullmatch(r".+:\d+", coordinator):
        raise ValueError(f"coordinator={coordinator!r} must be the host and a free port of process 0: 10.0.0.2:8476")
    if processes < 1 or not 0 <= process < processes:
        raise ValueError(f"process={process} of processes={processes}; they are numbered from 0 to processes - 1")


def any_of(flag: bool) -> bool:
    """Whether it is so in any process."""
    if jax.process_count() == 1:
        return flag
    return bool(np.max(multihost_utils.process_allgather(np.asarray(flag))))


def told_by_all(value: dict[str, Any]) -> list[dict[str, Any]]:
    """What each process has to say, by their numbers."""
    if jax.process_count() == 1:
        return [value]
    own = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = np.asarray(multihost_utils.process_allgather(np.asarray(own.size)))
    padded = np.pad(own, (0, int(sizes.max()) - own.size))
    rows = np.asarray(multihost_utils.process_allgather(padded))
    return [json.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]
