"""Who is started with others: the same verdict as jax's own detection, and where that has none, a word about it."""

import importlib.util
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jax
import pytest

import ropelab
from ropelab.training import distributed as ours

detection = pytest.importorskip("jax._src.clusters")
tpus = pytest.importorskip("jax._src.clusters.cloud_tpu_cluster")
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[01-02]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
}
MPI = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "3",
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}
GKE = {"TPU_WORKER_HOSTNAMES": "a,b,c,d", "TPU_WORKER_ID": "1", "MEGASCALE_NUM_SLICES": "1"}
POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}
OTHERS = (
    "JAX_COORDINATOR_ADDRESS", "SLURM_GPUS_ON_NODE", "SLURM_STEP_NUM_NODES", "TPU_ML_PLATFORM",
    "TPU_PROCESS_ADDRESSES",
)  # fmt: skip
Environment = dict[str, str]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the variables of a launcher, where there was none."""
    for name in (*SLURM, *MPI, *GKE, *POD, *OTHERS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TPU_SKIP_MDS_QUERY", "1")

    def put(values: Environment) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return put


@pytest.fixture
def chips(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host with TPU chips, for jax and for us."""
    monkeypatch.setattr(tpus, "running_in_cloud_tpu_vm", True)
    monkeypatch.setattr(ours, "_is_tpu_vm", lambda: True)


def by_jax() -> int:
    """How many processes jax's `initialize` would find; 1 if it would find nothing."""
    kinds = detection.ClusterEnv._cluster_types
    found = next((kind for kind in kinds if not kind.opt_in_only_method and kind.is_env_present()), None)
    return found.get_process_count() if found else 1


@pytest.mark.parametrize(
    ("values", "processes"),
    [
        ({}, 1),
        (SLURM, 2),
        (SLURM | {"SLURM_NTASKS": "1"}, 1),
        (MPI, 3),
        (MPI | SLURM, 3),
        (MPI | SLURM | {"OMPI_COMM_WORLD_SIZE": "1"}, 1),
        (GKE, 1),  # named hosts, and no chips here
    ],
)
def test_the_verdict_is_that_of_jax(values: Environment, processes: int, environment: Any) -> None:
    environment(values)
    assert by_jax() == processes
    assert ours.is_multiprocess() == (processes > 1)


@pytest.mark.parametrize(
    ("values", "processes"),
    [
        (GKE, 4),
        (GKE | {"TPU_WORKER_HOSTNAMES": "localhost"}, 1),
        (GKE | {"TPU_WORKER_HOSTNAMES": "a", "MEGASCALE_NUM_SLICES": "3"}, 3),
        (GKE | {"MEGASCALE_NUM_SLICES": "2"}, 8),
        (GKE | SLURM | {"SLURM_NTASKS": "1"}, 1),
        (GKE | POD, 4),
    ],
)
def test_the_verdict_on_a_tpu_host_is_that_of_jax(
    values: Environment, processes: int, environment: Any, chips: None
) -> None:
    environment(values)
    assert by_jax() == processes
    assert ours.is_multiprocess() == (processes > 1)


class Metadata(BaseHTTPRequestHandler):
    """What a TPU VM answers."""

    said: Environment

    def do_GET(self) -> None:
        value = self.said.get(self.path.rpartition("/")[2])
        self.send_response(404 if value is None else 200)
        self.end_headers()
        self.wfile.write((value or "not found").encode())

    def log_message(self, *_: object) -> None: ...  # pyright: ignore[reportIncompatibleMethodOverride]


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Metadata]]:
    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("GCE_METADATA_IP", f"127.0.0.1:{server.server_port}")
        yield Metadata
        server.shutdown()


@pytest.mark.parametrize(
    ("hosts", "slices", "processes"),
    [("unknown:unknown:10.0.0.1", "1", 1), ("x:y:10.0.0.1,x:y:10.0.0.2", "1", 2), ("x:y:10.0.0.1", "4", 4)],
)
def test_a_tpu_vm_asks_its_metadata(
    hosts: str, slices: str, processes: int, environment: Any, chips: None, metadata: Any, monkeypatch: Any
) -> None:
    monkeypatch.delenv("TPU_SKIP_MDS_QUERY", raising=False)
    env = f"ACCELERATOR_TYPE: 'v5litepod-8'\nMEGASCALE_NUM_SLICES: '{slices}'\nMEGASCALE_SLICE_ID: '0'"
    metadata.said = {"agent-worker-number": "0", "worker-network-endpoints": hosts, "tpu-env": env}
    pytest.importorskip("requests")
    assert by_jax() == processes
    assert ours.is_multiprocess() == (processes > 1)


def test_a_machine_without_metadata_is_alone(environment: Any, chips: None, monkeypatch: Any) -> None:
    monkeypatch.delenv("TPU_SKIP_MDS_QUERY", raising=False)
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:9")
    assert not ours.is_multiprocess()


def test_a_batch_script_of_slurm_is_alone(environment: Any) -> None:
    """Its variables say how many tasks the job may have; `srun` starts them."""
    environment({name: value for name, value in SLURM.items() if name != "SLURM_STEP_NODELIST"})
    assert not ours.is_multiprocess()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "Open MPI, 5 or later; give --coordinator=host:port, --processes"),
        ({"JAX_COORDINATOR_ADDRESS": "a:1"}, "nothing says how many processes there are; give --coordinator"),
        (SLURM | {"SLURM_NTASKS": "two"}, "SLURM_NTASKS='two' in the environment is no number"),
        (POD, r'pip install "jax\[k8s\]"; or give --coordinator'),
    ],
)
def test_others_that_jax_does_not_find_are_an_error(
    values: Environment, message: str, environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "kubernetes" else real(name))
    environment(values)
    with pytest.raises(ValueError, match=message):
        ropelab.init_distributed()


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The calls of jax's `initialize`."""
    calls: list[tuple] = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *given, **named: calls.append((given, named)))
    return calls


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        (SLURM | {"SLURM_NTASKS": "1"}, []),
        (SLURM, [((), {"local_device_ids": None})]),
        (SLURM | {"SLURM_GPUS_ON_NODE": "4", "SLURM_STEP_NUM_NODES": "1"}, [((), {"local_device_ids": None})]),
        (SLURM | {"SLURM_GPUS_ON_NODE": "4", "SLURM_STEP_NUM_NODES": "2"}, [((), {"local_device_ids": [0, 1, 2, 3]})]),
    ],
)
def test_others_are_joined_exactly_when_there_are_some(
    values: Environment, expected: list, environment: Any, joined: list
) -> None:
    """A process of Slurm with a node to itself takes all of its GPUs; jax would take the first alone."""
    environment(values)
    ropelab.init_distributed()
    assert joined == expected


def test_what_is_said_goes_before_what_is_found(environment: Any, joined: list) -> None:
    environment(SLURM)
    ropelab.init_distributed(processes=1)
    assert joined == []
    ropelab.init_distributed("10.0.0.1:8476", 4, 3)
    assert joined == [(("10.0.0.1:8476", 4, 3), {})]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("host:1", None, None), "are given together"),
        ((None, 4, 1), "are given together"),
        (("host", 2, 0), "coordinator='host' must be the host and a free port"),
        (("host:1", 2, 2), "process=2 of processes=2; they are numbered from 0"),
        (("host:1", 0, 0), "process=0 of processes=0"),
    ],
)
def test_what_cannot_be_is_refused(given: tuple, message: str, environment: Any, joined: list) -> None:
    with pytest.raises(ValueError, match=message):
        ropelab.init_distributed(*given)
    assert joined == []
