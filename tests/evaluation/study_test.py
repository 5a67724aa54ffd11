"""A study measures each pass once, whatever interrupts it, and never takes one pass for another."""

from pathlib import Path

import numpy as np
import pytest

from ropelab.encodings import PI, DynamicNTK
from ropelab.evaluation import study
from ropelab.evaluation.study import Measured, file_of, measure, plan, records
from ropelab.evaluation.variants import Variant
from tests.evaluation.small import DOCUMENTS, PROTOCOL, counted


def arms() -> list[Variant]:
    return [
        counted("unchanged"),
        counted("unchanged, chopped at 32", window=32),
        counted("PI", encoding=PI(base=1e4, factor=2)),
        counted("DynamicNTK", encoding=DynamicNTK(base=1e4, factor=2, original_length=32)),
    ]


def read(measured_arms: list[Variant]) -> list[int]:
    """The tokens of every text that was read."""
    return [tokens for arm in measured_arms for tokens in arm.model.read]  # type: ignore[attr-defined]


def same(first: list[Measured], second: list[Measured]) -> bool:
    keys = [[(m.arm.name, m.length) for m in measured] for measured in (first, second)]
    return keys[0] == keys[1] and all(np.array_equal(a.nll, b.nll) for a, b in zip(first, second, strict=True))


def test_every_arm_is_measured_at_every_length(tmp_path: Path) -> None:
    measured = measure(arms(), DOCUMENTS, PROTOCOL, tmp_path)
    assert [(m.arm.name, m.length) for m in measured] == [(a.name, n) for a in arms() for n in PROTOCOL.lengths]
    assert all(m.nll.shape == (2, m.length - 1) and m.nll.dtype == np.float32 for m in measured)
    unchanged = measured[2]
    np.testing.assert_allclose(unchanged.nll, 1.8 * DOCUMENTS[:, 1:] / 97, rtol=1e-6)


def test_a_pass_is_not_measured_twice(tmp_path: Path) -> None:
    first, again = arms(), arms()
    before = measure(first, DOCUMENTS, PROTOCOL, tmp_path)
    after = measure(again, DOCUMENTS, PROTOCOL, tmp_path)
    assert same(before, after)
    assert read(first) == [80, 80] + [32, 18] * 2 + [80, 80] + [24, 24, 80, 80]
    assert read(again) == []
    assert [m.seconds for m in after] == [m.seconds for m in before]


@pytest.mark.parametrize("stop", [0, 1, 4, 7])
def test_an_interrupted_study_goes_on_where_it_stopped(stop: int, tmp_path: Path) -> None:
    """In the middle of a pass: what was whole is kept, and only that."""
    uninterrupted = measure(arms(), DOCUMENTS, PROTOCOL, tmp_path / "whole")
    begun: list[object] = []

    def interrupt(_: int) -> None:
        if len(begun) > stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(arms(), DOCUMENTS, PROTOCOL, tmp_path / "cut", begin=begun.append, advance=interrupt)
    assert len(list((tmp_path / "cut").iterdir())) == stop
    rest = arms()
    assert same(measure(rest, DOCUMENTS, PROTOCOL, tmp_path / "cut"), uninterrupted)
    every = [tokens for one in plan(arms(), PROTOCOL) for tokens in pieces(one)]
    done = sum(len(pieces(one)) for one in plan(arms(), PROTOCOL)[:stop])
    assert read(rest) == every[done:]


def pieces(one: study.Pass) -> list[int]:
    return [32, 18] if one.arm.window else [one.length]  # the whole was read before: it begins with the first piece


def test_the_first_piece_is_taken_from_the_whole_reading(tmp_path: Path) -> None:
    together = measure(arms()[:2], DOCUMENTS, PROTOCOL, tmp_path / "together")[3:]
    alone = [counted("unchanged, chopped at 32", window=32)]
    assert same(together, measure(alone, DOCUMENTS, PROTOCOL, tmp_path / "alone"))
    assert read(alone) == [32, 32, 18] * 2


def test_a_length_dependent_arm_reads_every_piece(tmp_path: Path) -> None:
    """Its whole reading sees the first piece under the frequencies of another length."""
    encoding = DynamicNTK(base=1e4, factor=2, original_length=32)
    both = [counted("whole", encoding=encoding), counted("chopped", encoding=encoding, window=32)]
    measure(both, DOCUMENTS, PROTOCOL, tmp_path)
    assert both[1].model.read == [32, 32, 18] * 2  # type: ignore[attr-defined]


def test_a_disk_that_fills_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(study.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        measure(arms(), DOCUMENTS, PROTOCOL, tmp_path)
    assert not list(tmp_path.iterdir())


def test_two_processes_at_one_pass_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One writes the pass while another does: each has a file of its own until it is whole."""
    replace = study.os.replace

    def other_first(partial: Path, path: Path) -> None:
        assert str(study.os.getpid()) in partial.name
        path.write_bytes(partial.read_bytes())
        partial.unlink()
        replace(partial, path)

    monkeypatch.setattr(study.os, "replace", other_first)
    assert len(measure(arms(), DOCUMENTS, PROTOCOL, tmp_path)) == 12
    assert not list(tmp_path.glob("*partial*"))


def test_a_partial_file_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    """Killed while writing: the pass is measured again and the remains are removed."""
    path = file_of(plan(arms(), PROTOCOL)[0], PROTOCOL, tmp_path)
    path.with_name(f"{path.stem}.1.partial.npz").write_bytes(b"PK")
    again = arms()
    measure(again, DOCUMENTS, PROTOCOL, tmp_path)
    assert len(read(again)) == 12
    assert not list(tmp_path.glob("*partial*"))


CHANGES = {
    "model": {"model": "another name"},
    "weights": {"weights": "ba9876543210"},
    "text": {"text_sha256": "0" * 64},
    "lengths": {"lengths": (16, 24, 79)},
    "dtype": {"dtype": "bfloat16"},
    "kernel": {"kernel": "dense"},
    "part": {"part": 512},
    "bands": {"edges": (10,), "last": 3},
    "windows": {"windows": 1},
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_a_number_depends_on_names_its_file(what: str, tmp_path: Path) -> None:
    """Other weights, another text or another length are other files; other bands are read from the same ones."""
    one = plan(arms(), PROTOCOL)[0]
    changed = PROTOCOL._replace(**CHANGES[what])
    assert (file_of(one, PROTOCOL, tmp_path) == file_of(one, changed, tmp_path)) == (
        what in ("model", "bands", "windows")
    )


def test_other_versions_are_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol names the versions that made a number, so numbers of others may not be taken for it."""
    one = plan(arms(), PROTOCOL)[0]
    before = file_of(one, PROTOCOL, tmp_path)
    monkeypatch.setattr("ropelab.__version__", "999")
    assert file_of(one, PROTOCOL, tmp_path) != before


def test_every_pass_has_its_own_file_unless_it_is_the_same_reading(tmp_path: Path) -> None:
    """A text that is no longer than the window is not chopped, so both baselines share its file."""
    every = plan(arms(), PROTOCOL)
    assert len({file_of(one, PROTOCOL, tmp_path) for one in every}) == len(every)
    short = PROTOCOL._replace(lengths=(16, 24))
    first, second = (file_of(one, short, tmp_path) for one in plan(arms()[:2], short)[::2])
    assert first == second


def test_records_are_the_measurements(tmp_path: Path) -> None:
    rows = records(measure(arms(), DOCUMENTS, PROTOCOL, tmp_path), PROTOCOL)
    row = next(r for r in rows if (r["arm"], r["length"], r["band"]) == ("PI", 80, "[16, 32)"))
    expected = 2.8 * DOCUMENTS[:, 16:32] / 97
    assert (row["tokens"], row["first"], row["last"]) == (32, 16, 32)
    assert row["nll"] == pytest.approx(expected.mean(), abs=1e-6)
    assert row["perplexity"] == pytest.approx(np.exp(expected.mean()), abs=1e-4)
    assert row["encoding"] == "PI(base=10000.0, factor=2.0)"
    assert row["protocol"] == PROTOCOL.line()
    assert row["tokens_per_second"] > 0
    assert len(rows) == 4 * ((1 + 0 + 1) + (1 + 2 + 1) + (1 + 4 + 1))


def test_the_protocol_line_names_everything() -> None:
    model = "model tiny (weights 0123456789ab); text noise (sha256 ffffffffffff); "
    tokens = (
        "2 window(s) of 16, 24, 80 tokens from the beginning, no overlap, BOS none added; 30, 46, 158 tokens scored; "
    )
    assert PROTOCOL.line().startswith(model + tokens + "float32, kernel auto; ropelab ")
    assert ", jax " in PROTOCOL.line()
