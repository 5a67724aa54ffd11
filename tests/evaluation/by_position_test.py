"""Losses by position are measured once per pass, whatever interrupts it, and no pass is taken for another."""

from pathlib import Path

import numpy as np
import pytest

from ropelab.encodings import PI, DynamicNTK
from ropelab.evaluation.by_position import Losses, Pass, facts_of, make_records, measure, plan_passes
from ropelab.evaluation.store import Store, key_of
from ropelab.evaluation.variants import Variant
from tests.evaluation.small import DOCUMENTS, SETTINGS, counted


def variants() -> list[Variant]:
    return [
        counted("unchanged"),
        counted("unchanged, chopped at 32", window=32),
        counted("PI", encoding=PI(base=1e4, factor=2)),
        counted("DynamicNTK", encoding=DynamicNTK(base=1e4, factor=2, original_length=32)),
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "measurements.jsonl"


def read(measured: list[Variant]) -> list[int]:
    """The tokens of every text that was read."""
    return [tokens for variant in measured for tokens in variant.model.read]  # type: ignore[attr-defined]


def same(first: list[Losses], second: list[Losses]) -> bool:
    keys = [[(m.variant.name, m.length) for m in measured] for measured in (first, second)]
    return keys[0] == keys[1] and all(np.array_equal(a.nll, b.nll) for a, b in zip(first, second, strict=True))


def key(one: Pass, settings=SETTINGS) -> str:
    return key_of(facts_of(one, settings))


def test_every_variant_is_measured_at_every_length(path: Path) -> None:
    measured = measure(variants(), DOCUMENTS, SETTINGS, Store(path))
    assert [(m.variant.name, m.length) for m in measured] == [(v.name, n) for v in variants() for n in SETTINGS.lengths]
    assert all(m.nll.shape == (2, m.length - 1) and m.nll.dtype == np.float32 for m in measured)
    unchanged = measured[2]
    np.testing.assert_allclose(unchanged.nll, 1.8 * DOCUMENTS[:, 1:] / 97, rtol=1e-6)


def test_a_pass_is_not_measured_twice(path: Path) -> None:
    first, again = variants(), variants()
    before = measure(first, DOCUMENTS, SETTINGS, Store(path))
    written = path.read_bytes()
    after = measure(again, DOCUMENTS, SETTINGS, Store(path))
    assert same(before, after)
    assert read(first) == [80, 80] + [32, 18] * 2 + [80, 80] + [24, 24, 80, 80]
    assert read(again) == []
    assert [m.seconds for m in after] == [m.seconds for m in before]
    assert path.read_bytes() == written


@pytest.mark.parametrize("stop", [0, 1, 4, 7])
def test_an_interrupted_run_resumes_where_it_stopped(stop: int, tmp_path: Path) -> None:
    """In the middle of a pass: what was whole is kept, and only that."""
    uninterrupted = measure(variants(), DOCUMENTS, SETTINGS, Store(tmp_path / "whole.jsonl"))
    begun: list[object] = []

    def interrupt(_: int) -> None:
        if len(begun) > stop:
            raise KeyboardInterrupt

    cut = tmp_path / "cut.jsonl"
    with pytest.raises(KeyboardInterrupt):
        measure(variants(), DOCUMENTS, SETTINGS, Store(cut), begin=begun.append, advance=interrupt)
    assert len(Store(cut)) == stop
    rest = variants()
    assert same(measure(rest, DOCUMENTS, SETTINGS, Store(cut)), uninterrupted)
    every = [tokens for one in plan_passes(variants(), SETTINGS) for tokens in pieces(one)]
    done = sum(len(pieces(one)) for one in plan_passes(variants(), SETTINGS)[:stop])
    assert read(rest) == every[done:]


def pieces(one: Pass) -> list[int]:
    return [32, 18] if one.variant.window else [one.length]  # the whole was read before, and begins with the first


def test_the_first_piece_is_taken_from_the_whole_reading(tmp_path: Path) -> None:
    together = measure(variants()[:2], DOCUMENTS, SETTINGS, Store(tmp_path / "together.jsonl"))[3:]
    alone = [counted("unchanged, chopped at 32", window=32)]
    assert same(together, measure(alone, DOCUMENTS, SETTINGS, Store(tmp_path / "alone.jsonl")))
    assert read(alone) == [32, 32, 18] * 2


def test_a_length_dependent_variant_reads_every_piece(path: Path) -> None:
    """Its whole reading sees the first piece under the frequencies of another length."""
    encoding = DynamicNTK(base=1e4, factor=2, original_length=32)
    both = [counted("whole", encoding=encoding), counted("chopped", encoding=encoding, window=32)]
    measure(both, DOCUMENTS, SETTINGS, Store(path))
    assert both[1].model.read == [32, 32, 18] * 2  # type: ignore[attr-defined]


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
def test_the_key_has_what_a_number_depends_on(what: str) -> None:
    """Other weights, another text or another length have other keys; other bands are read from the same losses."""
    one = plan_passes(variants(), SETTINGS)[0]
    changed = SETTINGS._replace(**CHANGES[what])
    assert (key(one) == key(one, changed)) == (what in ("model", "bands", "windows"))


def test_other_versions_have_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol names the versions that made a number, so numbers of others may not be taken for it."""
    one = plan_passes(variants(), SETTINGS)[0]
    before = key(one)
    monkeypatch.setattr("ropelab.__version__", "999")
    assert key(one) != before


def test_every_pass_has_its_own_key_unless_it_is_the_same_reading() -> None:
    """A text that is no longer than the window is not chopped, so both baselines share its key."""
    every = plan_passes(variants(), SETTINGS)
    assert len({key(one) for one in every}) == len(every)
    short = SETTINGS._replace(lengths=(16, 24))
    first, second = (key(one, short) for one in plan_passes(variants()[:2], short)[::2])
    assert first == second


def test_records_are_the_measurements(path: Path) -> None:
    records = make_records(measure(variants(), DOCUMENTS, SETTINGS, Store(path)), SETTINGS)
    nll = [r for r in records if r.metric in ("nll", "nll_tail")]
    (record,) = (r for r in nll if (r.variant, r.length, r.first) == ("PI", 80, 16))
    expected = 2.8 * DOCUMENTS[:, 16:32] / 97
    assert (record.count, record.first, record.last) == (32, 16, 32)
    assert record.value == pytest.approx(expected.mean(), rel=1e-6)
    assert record.encoding == "PI(base=10000.0, factor=2.0)"
    assert record.protocol == SETTINGS.protocol()
    assert len(nll) == 4 * ((1 + 0 + 1) + (1 + 2 + 1) + (1 + 4 + 1))
    tails = {r.length: (r.first, r.last) for r in nll if r.metric == "nll_tail"}
    assert tails == {n: (n - 8, n) for n in SETTINGS.lengths}
    assert {r.window for r in nll if r.variant == "unchanged, chopped at 32"} == {32}
    speeds = [r for r in records if r.metric == "tokens_per_second"]
    assert len(speeds) == 12
    assert all(r.mean > 0 for r in speeds)


def test_the_protocol_names_everything() -> None:
    line = SETTINGS.protocol().line()
    model = "model tiny (weights 0123456789ab); text noise (sha256 ffffffffffff); "
    tokens = "2 windows each of 16, 24 and 80 tokens from the beginning, no overlap, BOS none added; "
    assert line.startswith(model + tokens + "30, 46, 158 tokens scored; float32, kernel auto; ropelab ")
    assert ", jax " in line
    one = SETTINGS._replace(windows=1, lengths=(80,)).protocol().line()
    assert "1 window of 80 tokens from" in one
