"""The report of whatever stands in a folder: sweeps of tables, evaluations, swaps, trainings, one or several."""

import json

import numpy as np
import pytest

from experiments.papers.claims import TABLES
from ropelab.reporting.page import Chart, Heat, Page, Section, Table
from ropelab.reporting.report import report
from tests.errors import names
from tests.reporting import samples
from tests.reporting.runs_on_disk import by_length, jsonl, record, training


def tables(section: Section) -> dict[str, Table]:
    return {part.title: part for part in section.parts if isinstance(part, Table)}


def column(table: Table, name: str) -> dict[str, str]:
    at = list(table.head).index(name)
    return {row[0].text: row[at].text for row in table.rows}


def sections(page: Page) -> dict[str, Section]:
    return {section.title: section for section in page.sections}


def facts(page: Page) -> dict[str, dict[str, str]]:
    return {one.title: dict(one.pairs) for one in page.facts}


def evaluation(root, unchanged=1.0):
    rows = [
        record(arm, "passkey", length, value, depth=depth, count=2)
        for arm, value in (("unchanged", unchanged), ("YaRN", 0.5)) for length in (128, 256) for depth in (0.0, 1.0)
    ]  # fmt: skip
    rows += [record(arm, "perplexity.nll", 128, nats, count=127) for arm, nats in (("unchanged", 1.0), ("YaRN", 2.0))]
    rows += [record("unchanged", "kmax", 256, 1 - k / 16, depth=1 - k / 16, count=10) for k in range(1, 17)]
    jsonl(root / "records.jsonl", rows)
    (root / "receipts.json").write_text(json.dumps({"unchanged": samples.receipts()["unchanged"]}))
    (root / "settings.json").write_text(json.dumps({"command": "python -m experiments.evaluate"}))


def test_an_evaluation(tmp_path):
    evaluation(tmp_path)
    page = report([tmp_path])
    (section,) = page.sections
    found = tables(section)
    assert [[cell.text for cell in row] for row in found["Scores"].rows[:2]] == [
        ["passkey", "unchanged", "1.00 [0.51, 1.00]", "1.00 [0.51, 1.00]"],
        ["passkey", "YaRN", "0.50 [0.15, 0.85]", "0.50 [0.15, 0.85]"],
    ]
    assert column(found["Perplexity"], "128") == {"unchanged": "2.718", "YaRN": "7.389"}
    assert [row[1].best for row in found["Perplexity"].rows] == [True, False]
    assert found["Scores"].rows[0][2].sources == ("records.jsonl:1", "records.jsonl:2")
    heats = [part for part in section.parts if isinstance(part, Heat)]
    assert [heat.title for heat in heats] == ["passkey: unchanged", "passkey: YaRN"]
    assert heats[1].values == [[0.5, 0.5], [0.5, 0.5]]
    assert heats[0].sources[1][0] == ["records.jsonl:2"]
    (line,) = (part for part in section.parts if isinstance(part, Chart))
    assert [point.x for point in line.series[0].points] == [16 * k for k in range(1, 17)]
    assert "What was applied" in found
    assert facts(page)["How each number was made"] == {tmp_path.name: "`python -m experiments.evaluate`"}


def test_two_evaluations_side_by_side(tmp_path):
    evaluation(tmp_path / "a")
    evaluation(tmp_path / "b", unchanged=0.0)
    (section,) = report([tmp_path / "a", tmp_path / "b"]).sections
    scores = {row[1].text: row[2].text for row in tables(section)["Scores"].rows if row[0].text == "passkey"}
    assert list(scores) == ["a: unchanged", "a: YaRN", "b: unchanged", "b: YaRN"]
    assert scores["b: unchanged"].startswith("0.00")


def test_a_swap(tmp_path):
    lines = ["arm,length,band,nll", "unchanged,64,all,1.0", "unchanged,64,last 8,2.0", "PI(factor=2.0),64,all,0.5"]
    (tmp_path / "results.csv").write_text("\n".join(lines) + "\n")
    nll = {"unchanged @ 64": np.ones((1, 63), np.float32), "PI(factor=2.0) @ 64": np.full((1, 63), 0.5, np.float32)}
    np.savez(tmp_path / "per_token.npz", protocol=np.array("one window"), **nll)
    (tmp_path / "receipts.json").write_text(json.dumps({"unchanged": {"trained_length": 32, "amplitude": 1.0}}))
    (section,) = report([tmp_path]).sections
    found = tables(section)["Perplexity by length"]
    assert column(found, "64\nall") == {"unchanged": "2.718", "`PI(factor=2.0)`": "1.649"}
    assert found.rows[1][1].sources == ("results.csv:4",)
    chart, difference = (part for part in section.parts if isinstance(part, Chart))
    assert [line.points[0].y for line in difference.series] == [0.0, -0.5]
    assert chart.marks == ((32, "trained on 32"),)
    assert {round(point.y, 3) for point in chart.series[0].points} == {2.718}


def swap(root, protocol="one window", **nats):
    root.mkdir()
    rows = [f"{arm},64,all,{value}" for arm, value in nats.items()]
    (root / "results.csv").write_text("\n".join(["arm,length,band,nll", *rows]) + "\n")
    nll = {f"{arm} @ 64": np.full((1, 63), value, np.float32) for arm, value in nats.items()}
    np.savez(root / "per_token.npz", protocol=np.array(protocol), **nll)
    (root / "receipts.json").write_text(json.dumps({arm: {"amplitude": 1.0, "statement": "x"} for arm in nats}))


def test_swaps_under_one_protocol_are_side_by_side(tmp_path):
    swap(tmp_path / "a", unchanged=1.0, PI=0.5, NTK=0.25)
    swap(tmp_path / "b", unchanged=1.0, YaRN=0.75, NTK=0.125)
    (section,) = report([tmp_path / "a", tmp_path / "b"]).sections
    table = tables(section)["Perplexity by length"]
    assert column(table, "64\nall") == {
        "unchanged": "2.718", "PI": "1.649", "a: NTK": "1.284", "b: NTK": "1.133", "YaRN": "2.117",
    }  # fmt: skip
    assert table.rows[-1][1].sources == ("b/results.csv:3",)
    chart, _ = (part for part in section.parts if isinstance(part, Chart))
    assert {line.name for line in chart.series} == set(column(table, "64\nall"))
    assert section.lead.startswith("At 64 tokens")


def test_swaps_under_two_protocols_are_apart(tmp_path):
    swap(tmp_path / "a", unchanged=1.0)
    swap(tmp_path / "b", "two windows", unchanged=1.0)
    assert len(report([tmp_path / "a", tmp_path / "b"]).sections) == 2


def test_receipts_have_a_column_for_each_variant(tmp_path):
    swap(tmp_path / "a", unchanged=1.0, PI=0.5)
    table = tables(report([tmp_path / "a"]).sections[0])["What was applied"]
    assert list(table.head) == ["", "unchanged", "PI"]
    assert column(table, "PI")["amplitude"] == "1"
    assert all(cell.value is None for row in table.rows for cell in row)


def test_an_evaluation_has_effective_contexts_and_intervals_over_depths(tmp_path):
    values = {0.0: (1.0, 0.5), 1.0: (2.0, 0.5)}
    rows = [record("unchanged", "passkey.nll", 64, v, depth=d, count=4, deviation=s) for d, (v, s) in values.items()]
    jsonl(tmp_path / "records.jsonl", rows)
    (tmp_path / "effective.json").write_text(json.dumps([["unchanged", "passkey", "8 of 64", "64", "64", "64"]]))
    (section,) = report([tmp_path]).sections
    found = tables(section)
    assert column(found["Effective context"], "k_max of PI") == {"unchanged": "8 of 64"}
    deviation = np.sqrt((3 * 0.25 + 3 * 0.25 + 4 * 0.25 + 4 * 0.25) / 7)
    half = 2.3646 * deviation / np.sqrt(8)
    nats = found["passkey: nats per token of the expected answer"]
    assert column(nats, "64") == {"unchanged": f"1.5 ± {half:.2g}"}


def test_nobody_is_the_best_where_intervals_overlap(tmp_path):
    rows = [record(arm, "passkey", 64, value, count=2) for arm, value in (("a", 1.0), ("b", 0.5))]
    rows += [record(arm, "passkey", 128, value, count=200) for arm, value in (("a", 1.0), ("b", 0.5))]
    jsonl(tmp_path / "records.jsonl", rows)
    table = tables(report([tmp_path]).sections[0])["passkey: score"]
    assert [[cell.best for cell in row[1:]] for row in table.rows] == [[False, True], [False, False]]


def test_trainings_and_in_what_they_differ(tmp_path):
    for seed in range(2):
        training(tmp_path / f"rope-{seed}", by_length({64: 4.0 + seed}), encoding="RoPE()", seed=seed, length=64)
        training(tmp_path / f"xpos-{seed}", by_length({64: 3.0}), encoding="XPos()", seed=seed, length=64)
    page = report([tmp_path])
    (section,) = page.sections
    assert column(tables(section)["Perplexity by length"], "64") == {"rope": "4.500", "xpos": "3.000"}
    differ = tables(section)["Settings that differ"]
    assert (list(differ.head), column(differ, "encoding")) == (
        ["arm", "encoding"],
        {"rope": "`RoPE()`", "xpos": "`XPos()`"},
    )
    assert len(facts(page)["How each number was made"]) == 4
    assert facts(page)["Environment"] == {"1 x cpu": "ropelab 0.1.0, jax 0.10.2, 1 process(es)"}


def test_a_sweep_s_tables_and_its_commands(tmp_path):
    training(tmp_path / "lex" / "rope-0", by_length({64: 4.0, 128: 6.0}), length=64, encoding="RoPE()")
    training(tmp_path / "lex" / "alibi-0", by_length({64: 4.5, 128: 4.4}), length=64, encoding="ALiBi()")
    long = {"length": 64, "encoding": "ALiBi()", "phases": "(Phase(start=3),)"}
    training(tmp_path / "mpt" / "curriculum-0", by_length({64: 4.5, 128: 4.4}), **long)
    entries = [
        {"name": "lex/rope-0", "command": ["experiments.train", "--x=F(a, b)", "--workdir={sweep}/lex/rope-0"]},
        {"name": "report", "command": ["experiments.report", "--workdir={sweep}", "--tables=lex,mpt"]},
    ]
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    (tmp_path / "sweep.json").write_text(json.dumps({"command": "python -m experiments.sweep"}))
    page = report([tmp_path], known=TABLES)
    assert list(sections(page)) == [
        "Verdict", "Length extrapolation from scratch (LEX)", "Short, then a little long (MPT-30B)",
    ]  # fmt: skip
    counts = tables(page.sections[0])["Claims by table"].rows
    assert [cell.text for cell in counts[0]] == ["Length extrapolation from scratch (LEX)", "0", "1", "1", "9"]
    assert column(tables(page.sections[1])["Settings that differ"], "encoding") == {
        "rope": "`RoPE()`",
        "alibi": "`ALiBi()`",
    }
    recipe = tables(page.sections[2])["Settings that differ"]
    assert list(column(recipe, "phases")) == ["alibi", "curriculum"], "of what its tables speak of, and RoPE is not"
    made = facts(page)["How each number was made"]
    assert made[tmp_path.name] == "`python -m experiments.sweep`"
    assert made["lex/rope-0"] == f"`python -m experiments.train '--x=F(a, b)' --workdir={tmp_path}/lex/rope-0`"


def test_claims_of_two_sweeps_side_by_side(tmp_path):
    for name, alibi in (("a", 4.4), ("b", 7.0)):
        training(tmp_path / name / "lex" / "rope-0", by_length({64: 4.0, 128: 6.0}), length=64)
        training(tmp_path / name / "lex" / "alibi-0", by_length({64: 4.5, 128: alibi}), length=64)
    page = report([tmp_path / "a", tmp_path / "b"], ["lex"], TABLES)
    table = tables(page.sections[0])["Claims side by side"]
    claim = "Length extrapolation from scratch (LEX): at 2 times the trained length ALiBi is below RoPE"
    assert column(table, "a")[claim].startswith("direction only (1 of 1)")
    assert column(table, "b")[claim].startswith("not reproduced (0 of 1)")
    assert [section.title.rpartition(": ")[2] for section in page.sections[1:]] == ["a", "b"]


def test_nothing_and_unknown_tables_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no records"):
        report([tmp_path])
    with pytest.raises(ValueError, match=names("'lox'", "lex", "resolution")):
        report([tmp_path], ["lox"], TABLES)
    with pytest.raises(ValueError, match=names("'lex'", "--claims")):
        report([tmp_path], ["lex"])
