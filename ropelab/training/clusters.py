"""How many processes a launcher has started, read from what it leaves in the environment of each.

    Open MPI      OMPI_MCA_orte_hnp_uri, OMPI_COMM_WORLD_SIZE
    Slurm         the variables of a step, which `srun` sets; in the batch script or under `salloc` there is no step
    TPU on GKE    hosts in TPU_WORKER_HOSTNAMES x MEGASCALE_NUM_SLICES
    TPU VMs       hosts in the VM's metadata x MEGASCALE_NUM_SLICES: nothing of them is in the environment
    Kubernetes    a pod of an Indexed Job; how many there are only Kubernetes knows

in the order in which jax looks for them; its `initialize` finds out who and where they are.

Source: jax 0.10.2, jax/_src/clusters.
"""

import importlib.util
import os
import urllib.error
import urllib.request

MPI = "OMPI_MCA_orte_hnp_uri"
SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
METADATA = "http://{host}/computeMetadata/v1/instance/attributes/{key}"
SECONDS = 3.0  # the metadata of a TPU VM answer at once; anywhere else nobody is there


def several_processes() -> bool:
    """Whether this is one of several processes that jax can bring together.

    Raises:
        ValueError: if it is one of several that jax cannot bring together without being told how.
    """
    if MPI in os.environ:
        return number("OMPI_COMM_WORLD_SIZE") > 1
    if all(name in os.environ for name in SLURM):
        return number("SLURM_NTASKS") > 1
    if on_tpu() and tpu_hosts():
        return tpu_hosts() * slices() > 1
    if "KUBERNETES_SERVICE_HOST" in os.environ and "JOB_COMPLETION_INDEX" in os.environ:
        refuse_without_kubernetes()
        return True
    refuse_unknown()
    return False


def number(name: str) -> int:
    value = os.environ.get(name, "1")
    if not value.isdigit():
        raise ValueError(f"{name}={value!r} in the environment is no number; unset it, or set it right")
    return int(value)


def on_tpu() -> bool:
    """Whether jax has found TPU chips: it then says so to the TPU's own library."""
    library = "TPU_LIBRARY_PATH" in os.environ or importlib.util.find_spec("libtpu") is not None
    return library and "TPU_ML_PLATFORM" in os.environ


def tpu_hosts() -> int:
    """The hosts of this slice; 0 if nothing tells."""
    named = os.environ.get("TPU_PROCESS_ADDRESSES") or os.environ.get("TPU_WORKER_HOSTNAMES")
    named = named or metadata("worker-network-endpoints")
    return len(named.split(",")) if named else 0


def slices() -> int:
    """The slices of a multislice job."""
    if "MEGASCALE_NUM_SLICES" in os.environ:
        return number("MEGASCALE_NUM_SLICES")
    said = dict(line.split(":", 1) for line in metadata("tpu-env").splitlines() if ":" in line)
    return int(said.get("MEGASCALE_NUM_SLICES", "1").strip(" '") or 1)


def metadata(key: str) -> str:
    """An attribute of a TPU VM; empty if there is none, or this is no such VM."""
    if "TPU_SKIP_MDS_QUERY" in os.environ:  # jax sets it where there are no chips, GKE where there are no metadata
        return ""
    url = METADATA.format(host=os.environ.get("GCE_METADATA_IP", "metadata.google.internal"), key=key)
    request = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return ""


def refuse_without_kubernetes() -> None:
    if importlib.util.find_spec("kubernetes") is None:
        raise ValueError(
            "this is a pod of an Indexed Job, whose others jax finds by the package kubernetes: pip install "
            '"jax[k8s]"; or give --coordinator, --processes and --process=$JOB_COMPLETION_INDEX, or --processes=1'
        )


def refuse_unknown() -> None:
    """Raise `ValueError` where there are others and jax does not know them: each would train by itself."""
    told = "give --coordinator=host:port, --processes and --process, or --processes=1 if this is the only one"
    if number("OMPI_COMM_WORLD_SIZE") > 1:
        raise ValueError(f"jax does not recognise this Open MPI, 5 or later; {told}")
    if os.environ.get("JAX_COORDINATOR_ADDRESS"):
        raise ValueError(f"JAX_COORDINATOR_ADDRESS is set, and nothing says how many processes there are; {told}")


def own_devices() -> list[int] | None:
    """The GPUs of a process of Slurm that has its node to itself; None leaves it to jax.

    jax gives each process of Slurm the one GPU that has the process's number on the node.
    """
    alone = os.environ.get("SLURM_STEP_NUM_NODES") == os.environ.get("SLURM_NTASKS")
    gpus = number("SLURM_GPUS_ON_NODE") if "SLURM_GPUS_ON_NODE" in os.environ else 0
    in_step = all(name in os.environ for name in SLURM) and MPI not in os.environ
    return list(range(gpus)) if in_step and alone and gpus > 1 else None
