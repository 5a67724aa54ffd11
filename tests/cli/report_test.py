"""The command writes the page and everything beside it, and refuses what it cannot read."""

import csv

from ropelab.cli import report
from tests.reporting.runs_on_disk import by_length, training


def test_a_report_of_trainings(tmp_path, capsys):
    training(tmp_path / "runs" / "rope-0", by_length({64: 4.0, 128: 6.0}), length=64)
    out = tmp_path / "out"
    words = [f"--workdir={tmp_path / 'runs'}", f"--to={out}", f"--markdown={tmp_path / 'docs' / 'results.md'}"]
    assert report.main(["report", *words]) == 0
    assert "written to" in capsys.readouterr().out
    assert "<h1>" in (out / "report.html").read_text()
    assert "| rope |" in (out / "report.md").read_text()
    (data,) = (out / "data").glob("*perplexity-by-length*.csv")
    with data.open(newline="") as file:
        rows = {row["column"]: row for row in csv.DictReader(file)}
    assert (rows["128"]["value"], rows["128"]["records"]) == ("6.0", "rope-0/evaluations.jsonl:2")
    figures = list((tmp_path / "docs" / "results").glob("*.png"))
    assert figures
    assert all(f"](results/{figure.name})" in (tmp_path / "docs" / "results.md").read_text() for figure in figures)


def test_bad_input_is_one_line(tmp_path, capsys):
    for words in (["--workdir="], [f"--workdir={tmp_path / 'nowhere'}"], [f"--workdir={tmp_path}"]):
        assert report.main(["report", *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_file_of_claims_is_run_where_the_flag_names_it(tmp_path, capsys):
    training(tmp_path / "runs" / "rope-0", by_length({64: 4.0}), length=64)
    (tmp_path / "mine.py").write_text(
        "from ropelab.reporting.page import Section\n"
        "TABLES = {'mine': lambda root: Section('My table', 'Is it read?', (), [])}\n"
    )
    words = ["report", f"--workdir={tmp_path / 'runs'}", f"--to={tmp_path / 'out'}", "--tables=mine"]
    assert report.main(words) == 2
    assert "--claims=" in capsys.readouterr().err
    assert report.main([*words, f"--claims={tmp_path / 'mine.py'}"]) == 0
    assert "My table" in (tmp_path / "out" / "report.md").read_text()
    (tmp_path / "empty.py").write_text("")
    assert report.main([*words, f"--claims={tmp_path / 'empty.py'}"]) == 2
    assert "the file has no TABLES" in capsys.readouterr().err
