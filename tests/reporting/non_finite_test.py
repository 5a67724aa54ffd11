"""A run that diverges is one failed row: tables, figures, claims and reports of the other runs go on."""

import json
import math

import pytest
from rich.console import Console

from ropelab.cli import train
from ropelab.cli.sweeps import live
from ropelab.reporting import files, grid
from ropelab.reporting.claims import Claim, below, judged
from ropelab.reporting.numbers import log_ratio, number, perplexity
from ropelab.reporting.page import Chart, Table
from ropelab.reporting.page_files import write_page
from ropelab.reporting.readings import Number
from ropelab.reporting.report import report
from ropelab.reporting.run_files import read_rows, rows
from tests.reporting.runs_on_disk import by_length, jsonl, record, training

NAN, INF = math.nan, math.inf


@pytest.fixture
def sweep(tmp_path):
    """Two trainings, one of which diverged; records have a word for a number that JSON does not have."""
    training(tmp_path / "good-0", by_length({64: 4.0}), encoding="RoPE()")
    training(tmp_path / "bad-0", [row | {"perplexity": "nan", "nll": "nan"} for row in by_length({64: 1.0})])
    jsonl(tmp_path / "bad-0" / "metrics.jsonl", [{"step": n, "loss": "nan", "tokens": 64 * n} for n in range(1, 4)])
    return tmp_path


def test_the_table_of_a_sweep_has_a_row_for_it(sweep):
    found = [{"name": name, "steps": 10} for name in ("good-0", "bad-0")]
    console = Console(width=100, record=True)
    console.print(live.make_table(sweep, found))
    assert "nan" in console.export_text()
    assert live.read_progress(sweep / "bad-0", 10) == ("3/10", "nan", "", "")


def test_records_that_are_damaged_do_not_stop_a_sweep(sweep):
    (sweep / "bad-0" / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0, "tok\n{}\n')
    assert live.read_progress(sweep / "bad-0", 10)[1] == "damaged"


def test_a_training_prints_it(capsys):
    train.print_perplexity([row | {"perplexity": "nan"} for row in by_length({64: 1.0})])
    assert "nan" in capsys.readouterr().out


def test_a_report_has_the_other_runs(sweep, tmp_path):
    page = report([sweep])
    table = next(part for part in page.sections[0].parts if isinstance(part, Table))
    assert {row[0].text: (row[1].text, row[1].best) for row in table.rows} == {
        "bad": ("nan", False),
        "good": ("4", False),
    }
    chart = next(part for part in page.sections[0].parts if isinstance(part, Chart))
    assert [len(line.points) for line in chart.series] == [3, 10]
    assert write_page(page, tmp_path / "report")


def test_the_best_of_a_column_is_finite():
    one = {arm: {8: {0: Number(value, ())}} for arm, value in (("a", NAN), ("b", 2.0), ("c", 3.0), ("d", INF))}
    table = grid.table("T", one, {arm: arm for arm in one}, [8])
    assert [(row[1].text, row[1].best) for row in table.rows] == [
        ("nan", False), ("2", True), ("3", False), ("∞", False),
    ]  # fmt: skip


def test_an_evaluation_of_such_a_model(tmp_path):
    nats = (("unchanged", NAN), ("PI", 1e4), ("NTK", 1.0), ("YaRN", 2.0))
    files.write_jsonl(tmp_path / "records.jsonl", [record(arm, "perplexity.nll", 128, n, count=9) for arm, n in nats])
    (table,) = report([tmp_path]).sections[0].parts
    assert [row[1].text for row in table.rows] == ["nan", "inf", "2.718", "7.389"]
    assert [row[1].best for row in table.rows] == [False, False, True, False]


@pytest.mark.parametrize("values", [(NAN, 2.0), (INF, 2.0), (1.0, NAN), (INF, INF)])
def test_a_claim_about_it_is_not_reproduced(values):
    readings = {arm: {1: {0: Number(value, ())}} for arm, value in zip("ab", values, strict=True)}
    (verdict,) = judged([Claim("a is below b", below(("a", 1), ("b", 1)))], readings)
    assert verdict.word == "not reproduced"


def test_numbers_do_not_raise():
    assert (perplexity(1e4), log_ratio(1.0, INF), log_ratio(INF, 1.0)) == (INF, -INF, INF)
    assert math.isnan(log_ratio(INF, INF))
    assert [number(x) for x in (NAN, INF, -INF, 2.0)] == ["nan", "∞", "−∞", "2"]


def test_records_are_written_as_json_and_read_back(tmp_path):
    files.write_jsonl(tmp_path / "metrics.jsonl", [{"step": 1, "loss": NAN, "tokens": 1, "pattern": "nan"}])
    json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=lambda word: pytest.fail(word))
    (row,) = rows(tmp_path, "metrics")
    assert math.isnan(row["loss"])
    assert row["pattern"] == "nan", "a text that looks like a number stays text"


@pytest.mark.parametrize("line", ["null", "5", "{}", '{"step": ', "[" * 100_000])
def test_a_damaged_record_names_its_line(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0, "tokens": 1}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2"):
        rows(tmp_path, "metrics")


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"step": 1}\n{"step"')
    assert read_rows(tmp_path / "a.jsonl") == [{"step": 1}]


@pytest.mark.parametrize("plan", ["{}", "[]", "null", '{"settings": 5}', "", "[" * 100_000])
def test_a_damaged_plan_names_its_file(tmp_path, plan):
    training(tmp_path / "a-0", by_length({64: 4.0}))
    (tmp_path / "a-0" / "plan.json").write_text(plan)
    with pytest.raises(ValueError, match=r"plan\.json"):
        report([tmp_path])
