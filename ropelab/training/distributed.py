"""Several processes as one training: how they find each other, and what they tell each other besides arrays."""

import json
import os
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

# What a launcher leaves in the environment of each of several processes: the variable, and what it says of one alone.
CLUSTERS = {
    "SLURM_NTASKS": "1",
    "OMPI_COMM_WORLD_SIZE": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "JAX_COORDINATOR_ADDRESS": "",
    "MEGASCALE_COORDINATOR_ADDRESS": "",
    "JOB_COMPLETION_INDEX": "",  # Kubernetes
}


def init_distributed(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Join the other processes of this job; in a single one, do nothing. To be called before anything else of jax.

    Args:
        coordinator: "host:port" of process 0; found in the environment if not given.
        processes, process: how many there are, and which this is.

    Raises:
        ValueError: if the three are not given together.
    """
    given = (coordinator, processes, process)
    if any(value is not None for value in given):
        if any(value is None for value in given):
            raise ValueError("coordinator, processes and process are given together: host:port, 4 and 0 to 3")
        jax.distributed.initialize(coordinator, processes, process)
    elif is_cluster():
        jax.distributed.initialize()


def is_cluster() -> bool:
    """Whether the environment is that of one process among several."""
    found = {name: os.environ.get(name, "") for name in CLUSTERS}
    return any(value not in ("", CLUSTERS[name]) for name, value in found.items())


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
