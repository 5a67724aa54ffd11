"""Whatever a download did to a directory, it is read or it is a `CheckpointError`: never another exception.

Mutants are drawn from a fixed seed, so that a failure names one that can be made again.
"""

import copy
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ropelab
from ropelab.checkpoints import CheckpointError
from tests.models import tiny

MUTANTS, SECONDS = 400, 10
STRANGE = [
    None, True, False, 0, -1, 1, 2.5, float("nan"), float("inf"), 1e300, 10**9, 10**30, "", "x", "32", "llama3", "\0",
    "\ud800", "../x", "a" * 5000, [], [1], [[]], {}, {"a": 1}, {"rope_type": "yarn"},
]  # fmt: skip
KEYS = ["rope_scaling", "rope_parameters", "rope_theta", "type", "factor", "head_dim", "quantization_config", ""]


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < SECONDS


def outcome(folder: Path, mutant: object) -> str:
    """What became of a mutant; any other exception fails the test and shows which one it was."""
    try:
        ropelab.load(folder)
    except CheckpointError:
        return "refused"
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error} from {repr(mutant)[:1000]}") from error
    return "read"


def places(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path to every value of a JSON object, its own included."""
    inner = value.items() if isinstance(value, dict) else ()
    return [path, *(p for key, child in inner for p in places(child, (*path, key)))]


def mutated(rng: random.Random, value: dict[str, Any]) -> Any:
    """Something taken out, put in or replaced, at any depth."""
    value = copy.deepcopy(value)
    path = rng.choice(places(value))
    if not path:
        return rng.choice(STRANGE)
    node = value
    for key in path[:-1]:
        node = node[key]
    match rng.randrange(4):
        case 0:
            del node[path[-1]]
        case 1:
            node[rng.choice(KEYS)] = rng.choice(STRANGE)
        case _:
            node[path[-1]] = rng.choice(STRANGE)
    return value


def damaged(rng: random.Random, text: str) -> bytes:
    """Sometimes cut off, sometimes with a byte changed; mostly as it is."""
    raw = bytearray(text.encode())
    match rng.randrange(6):
        case 0:
            del raw[rng.randrange(len(raw)) :]
        case 1:
            raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw)


def test_mutants_of_the_configuration(tmp_path: Path) -> None:
    rng, folder, seen = random.Random(1), tiny.write(tmp_path), Counter[str]()
    for _ in range(MUTANTS):
        settings = tiny.config(rng.choice(list(tiny.VARIANTS)), rng.choice(["config_v5", "config_v4"]))
        raw = damaged(rng, json.dumps(mutated(rng, settings)))
        (folder / "config.json").write_bytes(raw)
        seen[outcome(folder, raw)] += 1
    assert min(seen["refused"], seen["read"]) > MUTANTS // 10, seen


def test_mutants_of_the_index(tmp_path: Path) -> None:
    rng, folder, seen = random.Random(2), tiny.write(tmp_path, files=3), Counter[str]()
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    for _ in range(MUTANTS):
        raw = damaged(rng, json.dumps(mutated(rng, index)))
        path.write_bytes(raw)
        seen[outcome(folder, raw)] += 1
    assert min(seen["refused"], seen["read"]) > MUTANTS // 10, seen


def test_mutants_of_the_weights(tmp_path: Path) -> None:
    """Cut anywhere, the length of the header changed, bytes of the header changed, or the types in it."""
    rng, folder, seen = random.Random(3), tiny.write(tmp_path), Counter[str]()
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(MUTANTS):
        raw = bytearray(whole)
        match rng.randrange(4):
            case 0:
                del raw[rng.randrange(len(raw)) :]
            case 1:
                raw[rng.randrange(8)] = rng.randrange(256)
            case 2:
                for _ in range(rng.randrange(1, 4)):
                    raw[rng.randrange(8, end)] = rng.randrange(256)
            case _:
                kind = rng.choice([b'"I32"', b'"U32"', b'"F16"', b'"F99"', b'"BF16"'])
                raw[8:end] = whole[8:end].replace(b'"F32"', kind, rng.randrange(1, 20))
        path.write_bytes(raw)
        seen[outcome(folder, bytes(raw[:end]))] += 1
    assert seen["refused"] > MUTANTS // 2, seen
