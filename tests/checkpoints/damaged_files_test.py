"""Files of a Hugging Face directory that are damaged, missing or pointing elsewhere are named, and none is run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import save_file

import ropelab
from ropelab.checkpoints import CheckpointError
from tests.errors import names
from tests.models import tiny

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
Q0 = "model.layers.0.self_attn.q_proj.weight"


def refused(folder: Path, *values: object) -> None:
    with pytest.raises(CheckpointError, match=names(*values)) as caught:
        ropelab.load(folder)
    assert "\n" not in str(caught.value)


def overwrite(name: str, content: str | bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def truncate(folder: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1000])


def pickled_only(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json"),
        (overwrite("config.json", '{"model_type": '), "config.json"),
        (overwrite("config.json", b"\xff\xfe"), "config.json"),
        (overwrite("config.json", "[" * 100_000), "config.json"),
        (overwrite("config.json", '{"hidden_size": ' + "9" * 5000 + "}"), "config.json"),
        (overwrite("config.json", "[]"), "config.json"),
        (lambda folder: (folder / WEIGHTS).unlink(), "model.safetensors"),
        (truncate, "model.safetensors"),
        (overwrite(WEIGHTS, b""), "model.safetensors"),
        (pickled_only, "pickled"),
        (overwrite("tokenizer.json", "{}"), "tokenizer.json"),
    ],
)  # fmt: skip
def test_damaged_files_are_named(damage: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    folder = tiny.write(tmp_path)
    damage(folder)
    refused(folder, message)


def rewrite_index(folder: Path, change: Callable[[dict[str, str]], object]) -> None:
    index = json.loads((folder / INDEX).read_text())
    change(index["weight_map"])
    (folder / INDEX).write_text(json.dumps(index))


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "sub/model.safetensors"])
def test_an_index_may_not_point_outside_its_directory(name: str, tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "model", files=2)
    save_file(tiny.tensors(), tmp_path / "secret.safetensors")
    rewrite_index(folder, lambda owner: owner.update({Q0: name}))
    refused(folder, INDEX, name)


def test_a_file_of_the_index_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path, files=3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    refused(folder, "model-00002-of-00003.safetensors")


def test_an_index_without_a_map_is_refused(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path, files=2)
    for content in ("{}", '{"weight_map": {}}', '{"weight_map": []}'):
        (folder / INDEX).write_text(content)
        refused(folder, INDEX, "weight_map")


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    """Which of the two would be read is nobody's choice."""
    folder = tiny.write(tmp_path, files=2)
    save_file({Q0: tiny.tensors()[Q0]}, folder / "stale.safetensors")
    rewrite_index(folder, lambda owner: owner.update({"other": "stale.safetensors"}))
    refused(folder, Q0, "stale.safetensors")
