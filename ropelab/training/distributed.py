"""Several processes as one training: how they find each other, and what they tell each other besides arrays."""

import dataclasses
import importlib.util
import json
import math
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ropelab.data.batch import Batch
from ropelab.models.sharding import partition_spec
from ropelab.spec import Spec, require, spec

# How many processes a launcher has started, read from what it leaves in the environment of each.
#
#     Open MPI      OMPI_MCA_orte_hnp_uri, OMPI_COMM_WORLD_SIZE
#     Slurm         the variables of a step, which `srun` sets; in the batch script or under `salloc` there is no step
#     TPU on GKE    hosts in TPU_WORKER_HOSTNAMES x MEGASCALE_NUM_SLICES
#     TPU VMs       hosts in the VM's metadata x MEGASCALE_NUM_SLICES: nothing of them is in the environment
#     Kubernetes    a pod of an Indexed Job; how many there are only Kubernetes knows
#
# in the order in which jax looks for them; its `initialize` finds out who and where they are.
#
# Source: jax 0.10.2, jax/_src/clusters.

_MPI = "OMPI_MCA_orte_hnp_uri"
_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
_METADATA_URL = "http://{host}/computeMetadata/v1/instance/attributes/{key}"
_METADATA_TIMEOUT = 3.0  # the metadata of a TPU VM answer at once; anywhere else nobody is there


def is_multiprocess() -> bool:
    """Whether this is one of several processes that jax can bring together.

    Raises:
        ValueError: if it is one of several that jax cannot bring together without being told how.
    """
    if _MPI in os.environ:
        return _read_count("OMPI_COMM_WORLD_SIZE") > 1
    if all(name in os.environ for name in _SLURM):
        return _read_count("SLURM_NTASKS") > 1
    if _is_tpu_vm() and _count_tpu_hosts():
        return _count_tpu_hosts() * _count_slices() > 1
    if "KUBERNETES_SERVICE_HOST" in os.environ and "JOB_COMPLETION_INDEX" in os.environ:
        _require_kubernetes()
        return True
    _refuse_unknown()
    return False


def _read_count(name: str) -> int:
    value = os.environ.get(name, "1")
    if not value.isdigit():
        raise ValueError(f"{name}={value!r} in the environment is no number; unset it, or set it right")
    return int(value)


def _is_tpu_vm() -> bool:
    """Whether jax has found TPU chips: it then says so to the TPU's own library."""
    library = "TPU_LIBRARY_PATH" in os.environ or importlib.util.find_spec("libtpu") is not None
    return library and "TPU_ML_PLATFORM" in os.environ


def _count_tpu_hosts() -> int:
    """The hosts of this slice; 0 if nothing tells."""
    named = os.environ.get("TPU_PROCESS_ADDRESSES") or os.environ.get("TPU_WORKER_HOSTNAMES")
    named = named or _query_metadata("worker-network-endpoints")
    return len(named.split(",")) if named else 0


def _count_slices() -> int:
    """The slices of a multislice job."""
    if "MEGASCALE_NUM_SLICES" in os.environ:
        return _read_count("MEGASCALE_NUM_SLICES")
    said = dict(line.split(":", 1) for line in _query_metadata("tpu-env").splitlines() if ":" in line)
    return int(said.get("MEGASCALE_NUM_SLICES", "1").strip(" '") or 1)


def _query_metadata(key: str) -> str:
    """An attribute of a TPU VM; empty if there is none, or this is no such VM."""
    if "TPU_SKIP_MDS_QUERY" in os.environ:  # jax sets it where there are no chips, GKE where there are no metadata
        return ""
    url = _METADATA_URL.format(host=os.environ.get("GCE_METADATA_IP", "metadata.google.internal"), key=key)
    request = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})
    try:
        with urllib.request.urlopen(request, timeout=_METADATA_TIMEOUT) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return ""


def _require_kubernetes() -> None:
    if importlib.util.find_spec("kubernetes") is None:
        raise ValueError(
            "this is a pod of an Indexed Job, whose others jax finds by the package kubernetes: pip install "
            '"jax[k8s]"; or give --coordinator, --processes and --process=$JOB_COMPLETION_INDEX, or --processes=1'
        )


def _refuse_unknown() -> None:
    """Raise `ValueError` where there are others and jax does not know them: each would train by itself."""
    told = "give --coordinator=host:port, --processes and --process, or --processes=1 if this is the only one"
    if _read_count("OMPI_COMM_WORLD_SIZE") > 1:
        raise ValueError(f"jax does not recognise this Open MPI, 5 or later; {told}")
    if os.environ.get("JAX_COORDINATOR_ADDRESS"):
        raise ValueError(f"JAX_COORDINATOR_ADDRESS is set, and nothing says how many processes there are; {told}")


def local_device_ids() -> list[int] | None:
    """The GPUs of a process of Slurm that has its node to itself; None leaves it to jax.

    jax gives each process of Slurm the one GPU that has the process's number on the node.
    """
    alone = os.environ.get("SLURM_STEP_NUM_NODES") == os.environ.get("SLURM_NTASKS")
    gpus = _read_count("SLURM_GPUS_ON_NODE") if "SLURM_GPUS_ON_NODE" in os.environ else 0
    in_step = all(name in os.environ for name in _SLURM) and _MPI not in os.environ
    return list(range(gpus)) if in_step and alone and gpus > 1 else None


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
        _check_arguments(*given)
        jax.distributed.initialize(coordinator, processes, process)
    elif is_multiprocess():
        jax.distributed.initialize(local_device_ids=local_device_ids())


def _check_arguments(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Raise `ValueError` unless this is one of so many processes that can meet."""
    if coordinator is None or processes is None or process is None:
        raise ValueError("coordinator, processes and process are given together: host:port, 4 and 0 to 3")
    if not re.fullmatch(r".+:\d+", coordinator):
        raise ValueError(f"coordinator={coordinator!r} must be the host and a free port of process 0: 10.0.0.2:8476")
    if processes < 1 or not 0 <= process < processes:
        raise ValueError(f"process={process} of processes={processes}; they are numbered from 0 to processes - 1")


def any_process(flag: bool) -> bool:
    """Whether it is so in any process."""
    if jax.process_count() == 1:
        return flag
    return bool(np.max(multihost_utils.process_allgather(np.asarray(flag))))


def gather_json(value: dict[str, Any]) -> list[dict[str, Any]]:
    """What each process has to say, by their numbers."""
    if jax.process_count() == 1:
        return [value]
    own = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = np.asarray(multihost_utils.process_allgather(np.asarray(own.size)))
    padded = np.pad(own, (0, int(sizes.max()) - own.size))
    rows = np.asarray(multihost_utils.process_allgather(padded))
    return [json.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]


# The mesh of a run: how many devices lie along each axis, and where the state and the batches lie on them.
#
#     data        copies of the parameters; each sees its own rows of a batch
#     fsdp        the same, the parameters cut over it and gathered when they are used
#     tensor      heads, feed-forward and vocabulary cut over it
#     sequence    the tokens of a row cut over it; the kernel is then an exchange
#
# Programs are written as for one device and cut by XLA from where their arguments lie (`models.sharding`).

BATCH_AXES = ("data", "fsdp")


@spec
class MeshShape(Spec):
    """Devices along each axis; one axis may be -1, all that are left over."""

    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    sequence: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, size in dataclasses.asdict(self).items():
            require(size >= 1 or size == -1, self, f"{name}={size} must be at least 1, or -1 for the rest")
        require(list(dataclasses.astuple(self)).count(-1) <= 1, self, "only one axis can be -1, the rest")

    def filled(self, devices: int) -> dict[str, int]:
        """The size of every axis on so many devices.

        Raises:
            ValueError: if they do not divide, or are too few, or some would be idle.
        """
        sizes = dataclasses.asdict(self)
        known = math.prod(size for size in sizes.values() if size != -1)
        sizes = {name: devices // known if size == -1 else size for name, size in sizes.items()}
        wanted = math.prod(sizes.values())
        require(wanted == devices, self, f"there are {devices} devices and the axes make {wanted}; one may be -1")
        return sizes


def make_mesh(shape: MeshShape, devices: list[Any] | None = None) -> Mesh:
    """The mesh over all devices of all processes, or over those given."""
    devices = jax.devices() if devices is None else devices
    sizes = shape.filled(len(devices))
    kinds = (AxisType.Auto,) * len(sizes)
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), devices=devices, axis_types=kinds)


def check_batch(batch: int, accumulate: int, mesh: Mesh) -> None:
    """Raise `ValueError` unless every device gets as many rows of every part of a batch as every other."""
    shards = math.prod(mesh.shape[axis] for axis in BATCH_AXES)
    if batch % (shards * accumulate):
        raise ValueError(
            f"batch={batch} does not divide into {accumulate} parts of rows for {shards} devices; "
            f"give a multiple of {shards * accumulate}"
        )


def shardings(tree: Any, mesh: Mesh) -> Any:
    """Where each leaf of a state lies: as the parameter that it belongs to, by the names on its path."""

    def place(path: tuple, leaf: Any) -> NamedSharding:
        names = tuple(str(entry.key) for entry in path if hasattr(entry, "key"))
        return NamedSharding(mesh, partition_spec(names, leaf.shape, mesh) if names and leaf.ndim else P())

    return jax.tree.map_with_path(place, tree)


def init_on_mesh(mesh: Mesh, make: Callable[..., Any], *arguments: Any) -> Any:
    """`make(*arguments)`, each device making its own part of the result: no device ever holds the whole."""
    places = shardings(jax.eval_shape(make, *arguments), mesh)
    return jax.jit(make, out_shardings=places)(*arguments)


def local_rows(batch: int, mesh: Mesh) -> range:
    """The rows of a batch that devices of this process hold."""
    parts = NamedSharding(mesh, P(BATCH_AXES)).addressable_devices_indices_map((batch,)).values()
    bounds = [part[0].indices(batch)[:2] for part in parts if part is not None]
    return range(min(low for low, _ in bounds), max(high for _, high in bounds))


def shard_batch(local: Batch, batch: int, mesh: Mesh) -> Batch:
    """A batch over the whole mesh, of which this process has `own_rows`."""
    first = local_rows(batch, mesh).start

    def place(rows: np.ndarray) -> jax.Array:
        def part(index: tuple[slice, ...] | None) -> np.ndarray:
            assert index is not None
            low, high, _ = index[0].indices(batch)
            return rows[low - first : high - first]

        return jax.make_array_from_callback((batch, *rows.shape[1:]), NamedSharding(mesh, P(BATCH_AXES)), part)

    return jax.tree.map(place, local)
