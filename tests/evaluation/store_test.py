"""A store keeps what is measured, whatever interrupts it, and never takes one measurement for another."""

import errno
import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from ropelab.evaluation import store
from ropelab.evaluation.store import Store, key_of
from tests.errors import names

VALUES = [
    1.5,
    None,
    [{"value": float("inf"), "count": 3}, {"value": 0.1 + 0.2}],
    {"nll": np.arange(7, dtype=np.float32) / 3, "seconds": 0.25},
    np.full((2, 0), np.nan),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_back_as_they_were(tmp_path: Path, value: object) -> None:
    path = tmp_path / "deep" / "measurements.jsonl"
    Store(path).put({"a": 1}, value)
    found = Store(path).get({"a": 1})
    assert repr(found) == repr(value)
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype
        assert found.shape == value.shape


def test_a_value_is_measured_once(tmp_path: Path) -> None:
    kept, calls = Store(tmp_path / "m.jsonl"), []
    for _ in range(2):
        assert kept.get_or_measure({"a": 1}, lambda: calls.append(1) or 5) == 5
    assert Store(tmp_path / "m.jsonl").get_or_measure({"a": 1}, lambda: pytest.fail("measured again")) == 5
    assert (len(calls), len(kept)) == (1, 1)
    assert kept.get({"a": 2}) is None


def test_the_key_is_that_of_all_facts_in_any_order() -> None:
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert len({key_of(facts) for facts in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": 1, "b": 1}, {"a": None})}) == 5


@pytest.mark.parametrize("size", [1, 30, 5000])
def test_a_line_that_was_not_finished_is_dropped(tmp_path: Path, size: int) -> None:
    """Killed while writing: what was whole is kept, and the rest is measured again."""
    path = tmp_path / "m.jsonl"
    Store(path).put({"a": 1}, "first")
    whole = path.read_bytes()
    path.write_bytes(whole + b"{" + b"x" * (size - 1))
    kept = Store(path)
    assert len(kept) == 1
    kept.put({"a": 2}, "second")
    assert path.read_bytes().startswith(whole + b'{"key"')
    assert [Store(path).get({"a": n}) for n in (1, 2)] == ["first", "second"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[: len(line) // 2],
        lambda line: line.replace(b"first", b"fourth"),
        lambda line: line[:20] + b"\x00\xff" + line[22:],
        lambda line: b"null",
        lambda line: b"[" * 100_000,
        lambda line: b"",
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, damage) -> None:
    path = tmp_path / "m.jsonl"
    kept = Store(path)
    kept.put({"a": 1}, "first")
    kept.put({"a": 2}, "second")
    first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([damage(first), second, b""]))
    with pytest.raises(ValueError, match=names("m.jsonl", "line 1")):
        Store(path)


def test_a_disk_that_fills_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.jsonl"
    kept = Store(path)
    kept.put({"a": 1}, "first")
    before = path.read_bytes()

    def full(file, data: bytes) -> None:
        file.write(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "_write", full)
    with pytest.raises(OSError, match="No space"):
        kept.put({"a": 2}, "second")
    assert path.read_bytes() == before
    assert {"a": 2} not in kept


def _put_many(path: str, who: int) -> None:
    kept = Store(Path(path))
    for n in range(50):
        kept.put({"who": who, "n": n}, "x" * 5000)


def test_processes_write_one_after_another(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_put_many, args=(str(path), who)) for who in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    assert len(Store(path)) == 100
    assert all(json.loads(line)["value"] == "x" * 5000 for line in path.read_text().splitlines())


def test_a_folder_of_0_1_is_named(tmp_path: Path) -> None:
    assert store.warn_of_0_1(tmp_path) == ""
    (tmp_path / "measurements").mkdir()
    assert "ropelab 0.1" in store.warn_of_0_1(tmp_path)
