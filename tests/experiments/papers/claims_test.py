"""Each table reads its numbers off the records it names, and says of each claim what they say."""

import numpy as np
import pytest

from experiments.papers.claims import TABLES
from experiments.papers.pi.claims import k_max
from ropelab.reporting.page import Chart, Section, Table
from tests.reporting.runs_on_disk import by_length, jsonl, record, training

LENGTHS = (32, 64, 128, 256, 512)
BLOCKED = "BlockwiseCausal(block=64)"
LIKE_THE_PAPER = {  # causal, blockwise
    "sinusoidal": ((5, 4, 20, 60, 90), (5, 4, 20, 50, 80)),
    "rope": ((5, 4, 6, 9, 14), (5, 4, 3.9, 3.8, 3.8)),
    "alibi": ((4.9, 3.9, 3.8, 3.7, 3.7), (4.9, 3.9, 3.8, 3.7, 3.7)),
    "xpos": ((5, 4, 4, 4, 4), (4.8, 3.8, 3.7, 3.6, 3.5)),
}


def lex(root, values=LIKE_THE_PAPER):
    for seed in range(3):
        for arm, pair in values.items():
            rows = []
            for pattern, line in zip(("Causal()", BLOCKED), pair, strict=True):
                rows += by_length({n: v + seed / 100 for n, v in zip(LENGTHS, line, strict=True)}, pattern=pattern)
            early = by_length(dict.fromkeys(LENGTHS, 256.0), step=0)
            training(root / "lex" / f"{arm}-{seed}", early + rows, length=64)


def words(section: Section) -> dict[str, str]:
    return {verdict.claim: verdict.word for verdict in section.verdicts}


def rows_of(section: Section, title: str = "Ours") -> dict[str, list[str]]:
    table = next(part for part in section.parts if isinstance(part, Table) and part.title.startswith(title))
    return {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}


def test_lex_like_the_paper_s_is_reproduced(tmp_path):
    lex(tmp_path)
    section = TABLES["lex"](tmp_path)
    assert set(words(section).values()) == {"reproduced"}
    assert rows_of(section)["xPos, blockwise causal (LEX)"][1] == "3.810"


def test_one_seed_less_and_one_claim_less(tmp_path):
    lex(tmp_path)
    rows = by_length({64: 3.8, 128: 3.7, 256: 3.6, 512: 3.65}, pattern=BLOCKED)
    (tmp_path / "lex" / "xpos-2" / "evaluations.jsonl").unlink()
    jsonl(tmp_path / "lex" / "xpos-2" / "evaluations.jsonl", rows)
    found = {v.claim: v for v in TABLES["lex"](tmp_path).verdicts}
    falls = next(v for claim, v in found.items() if claim.startswith("LEX falls"))
    assert (falls.word, falls.seeds) == ("not reproduced", (2, 3))


def test_every_number_names_the_line_it_is_from(tmp_path):
    lex(tmp_path)
    section = TABLES["lex"](tmp_path)
    table = next(part for part in section.parts if isinstance(part, Table))
    row = next(row for row in table.rows if row[0].text == "RoPE (Roformer)")
    # five evaluations of step 0 stand before those of the last step
    assert row[1].sources == tuple(f"lex/rope-{seed}/evaluations.jsonl:6" for seed in range(3))


def test_resolution(tmp_path):
    lex(tmp_path)
    values = {"xpos": 0.05, "rope": 0.02, "alibi": 0.01, "xpos + BlockwiseCausal": 0.1, "rope + BlockwiseCausal": 0.1}
    rows = [
        record(arm, "resolution", length, value + seed / 1000, seed=seed)
        for arm, value in values.items() for length in (64, 128, 256) for seed in range(3)
    ]  # fmt: skip
    jsonl(tmp_path / "lex" / "resolution.jsonl", rows)
    n = np.arange(64)
    waves = {
        f"{arm}-{seed}": high * np.cos(n) - n / 64 for arm, high in (("rope", 2.0), ("xpos", 0.1)) for seed in range(3)
    }
    np.savez(tmp_path / "lex" / "resolution.npz", **waves)
    section = TABLES["resolution"](tmp_path)
    found = words(section)
    rough = next(verdict for verdict in section.verdicts if verdict.claim.startswith("RoPE's scores oscillate"))
    assert (rough.word, rough.seeds) == ("reproduced", (3, 3))
    chart = next(part for part in section.parts if isinstance(part, Chart) and part.title == "Mean score by distance")
    assert [line.name for line in chart.series] == ["RoPE", "xPos"]
    assert chart.series[0].points[3].y == pytest.approx(2 * np.cos(3) - 3 / 64)
    assert found["in texts of 256 xPos has a higher resolution than RoPE"] == "reproduced"
    assert found["in texts of 256 ALiBi has a higher resolution than RoPE"] == "not reproduced"
    assert found["in texts of 128 xPos, blockwise causal (LEX) has a higher resolution than xPos"] == "reproduced"


def test_overlap(tmp_path):
    lex(tmp_path)
    nats = {"apart": {64: 1.6, 512: 1.4}, "sliding": {64: 1.45, 512: 1.4}}
    for way, by in nats.items():
        rows = [record("alibi", "perplexity.nll", n, v) for n, v in by.items()]
        rows += [record("sinusoidal", "perplexity.nll", n, n / 100) for n in by]
        jsonl(tmp_path / "overlap" / way / "records.jsonl", rows)
    assert set(words(TABLES["overlap"](tmp_path)).values()) == {"direction only"}


def extensions(root, of, *, step0=1.5):
    """`of` is perplexity by length after the last step; before the first it is `step0` times as much."""
    for name, (length, values) in of.items():
        rows = [row for step, times in ((0, step0), (20, 1.1), (40, 1.05), (60, 1.0), (80, 1.0), (100, 1.0))
                for row in by_length({n: v * times for n, v in values.items()}, step=step)]  # fmt: skip
        training(root / "bytes" / f"{name}-0", rows, length=length)


BASE = {256: 4.4, 512: 4.0, 768: 6.0, 1024: 8.0, 1280: 10.0, 2048: 20.0}
LIKE_THEIRS = {
    "base": (512, BASE),
    "pi2": (1024, {256: 4.3, 512: 4.1, 768: 3.9, 1024: 3.8, 1280: 9.0}),
    "ntk2": (1024, {256: 4.5, 512: 4.2, 768: 4.1, 1024: 4.0, 1280: 7.0}),
    "yarn2": (1024, {256: 4.3, 512: 4.0, 768: 3.8, 1024: 3.6, 1280: 6.0}),
    "direct2": (1024, {256: 4.5, 512: 4.3, 768: 4.3, 1024: 4.4, 1280: 9.0}),
    "pi4": (2048, {256: 4.6, 512: 4.3, 1024: 4.0, 2048: 3.7, 3072: 50.0, 4096: 90.0}),
    "yarn4": (2048, {256: 4.6, 512: 4.2, 1024: 3.9, 2048: 3.6, 3072: 12.0, 4096: 15.0}),
    "yarn8": (2048, {256: 4.7, 512: 4.3, 1024: 3.95, 2048: 3.65, 3072: 3.6, 4096: 3.5}),
}


@pytest.mark.parametrize("table", ["yarn1", "yarn2", "pi1"])
def test_extensions_like_the_papers_of_one_seed_are_the_direction_only(table, tmp_path):
    extensions(tmp_path, LIKE_THEIRS)
    assert set(words(TABLES[table](tmp_path)).values()) == {"direction only"}


def test_yarn_s_table_has_the_row_of_forty_per_cent(tmp_path):
    extensions(tmp_path, LIKE_THEIRS)
    assert rows_of(TABLES["yarn1"](tmp_path))["YaRN(factor=2), 40 % of the steps"][3] == "3.780"


def test_steps_of_pi(tmp_path):
    extensions(tmp_path, LIKE_THEIRS)
    section = TABLES["pi3"](tmp_path)
    assert rows_of(section)["PI, to twice"] == ["5.700", "4.180", "3.990", "3.800", "3.800", "3.800"]
    found = words(section)
    assert found["by the end PI to twice is below the unchanged model at the trained length"] == "direction only"
    assert found["PI to four times begins above PI to twice"] == "not reproduced"


def test_longlora(tmp_path):
    at = {"pi4": 4.0, "lora4": 5.0, "plus4": 4.1, "longlora4": 4.1, "shifted4": 4.05, "short4": 4.2}
    extensions(tmp_path, {"base": (512, BASE)} | {a: (2048, {512: v, 1024: v, 2048: v}) for a, v in at.items()})
    assert set(words(TABLES["longlora"](tmp_path)).values()) == {"direction only"}
    (tmp_path / "bytes" / "short4-0" / "plan.json").unlink()
    groups = words(TABLES["longlora"](tmp_path))["groups that are not shifted are worse than shifted ones"]
    assert groups == "not testable at this size"


@pytest.mark.parametrize(
    ("answered", "reached"), [((1, 1, 1, 1), 32), ((1, 1, 0.1, 1), 16), ((0.1, 1, 1, 1), 0), ((0.2, 0.2, 0.2, 0.2), 32)]
)
def test_a_hole_ends_k_max(answered, reached):
    assert k_max(dict(zip((8, 16, 24, 32), answered, strict=True))) == reached


def test_kmax_by_steps(tmp_path):
    asked = [("base-0@9", 128, 1.0), ("base-0@9", 256, 0.0), ("base-0@9", 512, 0.0)]
    asked += [(f"{arm}-0@{step}", n, v) for arm, n, v in (("pi2", 256, 1.0), ("pi4", 512, 1.0), ("direct2", 256, 0.0),
              ("direct4", 512, 0.0)) for step in (0, 25)]  # fmt: skip
    rows = [record(arm, "kmax", n, v, depth=1 - k / 4, seed=0) for arm, n, v in asked for k in (1, 2, 3, 4)]
    jsonl(tmp_path / "kmax" / "kmax.jsonl", rows)
    section = TABLES["kmax"](tmp_path)
    assert set(words(section).values()) == {"direction only"}
    assert rows_of(section)["PI, to four times"] == ["512", "512"]


def test_untuned(tmp_path):
    training(tmp_path / "bytes" / "base-0", by_length(BASE), length=512)
    nats = {"base": (1.5, 2.5, 3.0, 3.5)}
    for s in (2, 4, 8):
        nats |= {
            f"base + PI(factor={s}.0)": (2.0, 2.4, 2.6, 2.8),
            f"base + NTK(alpha={s}.0)": (1.6, 1.7, 2.0, 2.2),
            f"base + YaRN(factor={s}.0, original_length=512)": (1.6, 1.8, 1.9, 2.1),
        }
    nats |= {"base + DynamicNTK(factor=1.0, original_length=512)": (1.5, 1.7, 1.8, 2.0)}
    lengths = (512, 1024, 2048, 4096)
    rows = [record(arm, "perplexity.nll", n, v) for arm, by in nats.items() for n, v in zip(lengths, by, strict=True)]
    jsonl(tmp_path / "untuned" / "bytes" / "records.jsonl", rows)
    found = words(TABLES["untuned"](tmp_path))
    identity = found.pop("within the trained length dynamic NTK is the unchanged model, to 1 in 10000")
    assert (set(found.values()), identity) == ({"direction only"}, "reproduced")


def test_longnet(tmp_path):
    for arm, values in {"dense256": (5, 4, 6), "dilated256": (5, 4.05, 4), "sparse256": (5, 4.3, 4.3)}.items():
        rows = by_length(dict(zip((64, 256, 1024), values, strict=True)))
        training(tmp_path / "longnet" / f"{arm}-0", rows, length=256)
    found = words(TABLES["longnet"](tmp_path))
    assert found["trained on 256, LongNet is below the Sparse Transformer at that length"] == "direction only"
    assert found["LongNet gains from training on longer texts"] == "not testable at this size"
    assert sum(word == "direction only" for word in found.values()) == 3


def test_runtime_costs_and_knobs(tmp_path):
    times = [record("dense", "runtime.seconds", n, n * n / 1e6) for n in (1024, 4096, 16384)]
    times += [record("dilated", "runtime.seconds", n, n / 1e4) for n in (1024, 4096, 16384, 65536)]
    jsonl(tmp_path / "runtime" / "records.jsonl", times)
    assert set(words(TABLES["runtime"](tmp_path)).values()) == {"direction only"}
    costs = {"full fine-tuning": (4.0, 40.0), "LoRA": (3.0, 30.0), "LongLoRA": (3.1, 15.0)}
    rows = [record(arm, f"costs.{name}", 4096, v) for arm, pair in costs.items()
            for name, v in zip(("gib", "gflop"), pair, strict=True)]  # fmt: skip
    jsonl(tmp_path / "costs" / "records.jsonl", rows)
    assert set(words(TABLES["longlora_costs"](tmp_path)).values()) == {"reproduced"}
    names = ("compress_pos_emb", "rope_freq_scale", "rope_scaling", "alpha_value", "rope_freq_base", "rope_theta")
    rows = [record("any", f"knobs.{name}", d, 0.0) for name in names for d in (64, 128)]
    rows += [record("any", "knobs.exponent_64_63", d, v) for d, v in ((64, 0.03), (128, 0.0))]
    jsonl(tmp_path / "knobs" / "records.jsonl", rows)
    assert set(words(TABLES["knobs"](tmp_path)).values()) == {"reproduced"}


def test_mpt(tmp_path):
    for seed in range(3):
        training(tmp_path / "lex" / f"alibi-{seed}", by_length({64: 4.0, 256: 3.9}), length=64)
        training(tmp_path / "mpt" / f"curriculum-{seed}", by_length({64: 4.01, 256: 3.8}), length=64)
    assert set(words(TABLES["mpt"](tmp_path)).values()) == {"reproduced"}


@pytest.mark.parametrize("table", TABLES)
def test_of_nothing_nothing_is_testable(table, tmp_path):
    assert set(words(TABLES[table](tmp_path)).values()) == {"not testable at this size"}
