"""The data of a page are its numbers, the same in CSV and in Parquet, each with its records."""

import io
import math
import sys
from csv import DictReader

import pytest

from ropelab.reporting.page import Cell, Chart, Heat, Point, Series, Table
from ropelab.reporting.page_data import COLUMNS, TEXT, as_csv, as_parquet, inert, rows
from tests.reporting.sample_page import HOSTILE, bands, heat, hostile, positions, retrieval, table

parquet = pytest.importorskip("pyarrow.parquet")
csv = pytest.importorskip("pyarrow.csv")
import pyarrow  # noqa: E402

EVERY = [table(), retrieval(), bands(), positions(), heat(), hostile(table()), hostile(bands())]


def from_csv(data: bytes):
    kinds = {
        name: pyarrow.string() if name in TEXT else pyarrow.float64() for names in COLUMNS.values() for name in names
    }
    options = csv.ConvertOptions(column_types=kinds | {"best": pyarrow.bool_()}, null_values=[""])
    return csv.read_csv(io.BytesIO(data), convert_options=options).to_pylist()


@pytest.mark.parametrize("part", EVERY, ids=lambda part: type(part).__name__)
def test_csv_and_parquet_are_the_same_rows(part):
    stored = parquet.read_table(io.BytesIO(as_parquet(part))).to_pylist()
    assert stored == from_csv(as_csv(part)) == rows(part)


def test_a_table_has_a_row_for_each_number_with_its_records():
    found = rows(table())
    assert len(found) == 7 * 5
    assert found[1] == {
        "row": "Sinusoidal()",
        "column": "512 tokens",
        "text": "3.731",
        "value": 3.731,
        "half": 0.004 * 3.731**1.5,
        "best": False,
        "records": "; ".join(f"lex/arm0-{seed}/evaluations.jsonl:22" for seed in range(3)),
    }
    assert (found[-1]["value"], found[-1]["records"]) == (None, "")


def test_a_chart_and_a_heat_map_have_a_row_for_each_value():
    assert rows(bands())[0] == {
        "series": "Sinusoidal()",
        "x": 256,
        "y": 3.962,
        "low": 3.962 * 0.97,
        "high": 3.962 * 1.04,
    }
    assert len(rows(positions())) == 4 * 600
    assert rows(heat())[14] == {"row": "0.50", "column": "4096", "value": None, "records": ""}


@pytest.mark.parametrize("part", [Table("", ["a", "b"], []), Chart("", "", "", []), Heat("", "", "", [], [], [])])
def test_nothing_is_a_line_of_names(part):
    assert as_csv(part).decode() == ",".join(COLUMNS[type(part)]) + "\n"
    assert parquet.read_table(io.BytesIO(as_parquet(part))).column_names == list(COLUMNS[type(part)])


def test_numbers_that_are_not_finite_are_kept():
    chart = Chart("", "", "", [Series(HOSTILE, [Point(1, math.inf), Point(2, math.nan)])])
    for stored in (parquet.read_table(io.BytesIO(as_parquet(chart))).to_pylist(), from_csv(as_csv(chart))):
        assert stored[0]["y"] == math.inf
        assert math.isnan(stored[1]["y"])


def test_without_pyarrow_the_message_says_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ropelab\[report\]'"):
        as_parquet(table())


@pytest.mark.parametrize("text", ['=HYPERLINK("http:x","y")-0', "@x", "+cmd", "-2+3+cmd|' /C calc'!A0", "\t=1"])
def test_no_text_is_a_formula(text):
    table = Table("T", ["", text], [[Cell(text), Cell(text, -1.5)]])
    (row,) = DictReader(io.StringIO(as_csv(table).decode()))
    assert (row["row"], row["column"], row["text"]) == (f"'{text}",) * 3
    assert row["value"] == "-1.5"


@pytest.mark.parametrize("text", ["-1.5", "+1.3 %", "-0.5 ± 0.2", "+1.3 % [-0.7 %, +3.4 %]", "1e-05", "-1.2e+03"])
def test_numbers_stay_numbers(text):
    assert inert(text) == text
