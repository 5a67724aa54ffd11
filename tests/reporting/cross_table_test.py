"""Crossings as lines of a file, as tables in the terminal and as a page."""

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from ropelab.reporting.cross_table import append, by_class, cell, failures, largest, markdown, print_cross, read


def crossing(encoding: str, pattern: str, dtype: str = "float32", raised: str | None = None, **errors: float) -> dict:
    names = {"encoding": encoding, "pattern": pattern, "dtype": dtype, "jax": "0.0"}
    return names | {"errors": errors, "raised": raised, "seconds": 1.0}


SOUND = [
    crossing("A(a=1)", "P()", dense=2e-7, blockwise=1e-6),
    crossing("A(a=1)", "P()", "float64", dense=2e-16, blockwise=1e-15),
    crossing("A(a=2)", "P()", dense=4e-6, blockwise=1e-7),
    crossing("A(a=1)", "Q(w=3)", dense=1e-8, blockwise=1e-8, arranged=2e-8),
    crossing("B()", "P()", dense=1e-5),
]
WRONG = crossing("B()", "Q(w=3)", "float64", dense=1e-15, arranged=3e-7)
NOT_FINITE = crossing("C()", "P()", dense=math.inf, blockwise=1e-7)
RAISED = crossing("D()", "P()", raised="TypeError: no")


def printed(crossings: list[dict]) -> str:
    text = io.StringIO()
    print_cross(crossings, Console(file=text, width=100))
    return text.getvalue()


def test_a_difference_is_measured_by_the_bound_of_its_dtype():
    assert largest(SOUND[0]) == pytest.approx(0.05)
    assert largest(SOUND[1]) == pytest.approx(1e-5)
    assert largest(WRONG) == pytest.approx(3000)
    assert largest(NOT_FINITE) == largest(RAISED) == math.inf


def test_a_class_is_as_good_as_its_worst_example_in_its_worst_dtype():
    encodings, patterns, worst = by_class(SOUND)
    assert (encodings, patterns) == (["A", "B"], ["P()", "Q(w=3)"])
    assert worst["A", "P()"] is SOUND[2]
    assert by_class(SOUND[::-1])[2]["A", "P()"] is SOUND[2]


def test_cells_say_what_was_not_tried_and_what_exceeds_the_bound():
    worst = by_class([*SOUND, WRONG, NOT_FINITE])[2]
    pairs = [("A", "P()"), ("A", "Q(w=3)"), ("B", "Q(w=3)"), ("C", "P()"), ("C", "Q(w=3)")]
    assert [cell(worst, pair) for pair in pairs] == ["0.20", "<.01", "✗ 3.0e+03", "✗ inf", "·"]


def test_a_nan_is_a_failure():
    (words,) = failures([crossing("A()", "P()", dense=math.nan)])
    assert words == "A() × P(), float32: dense nan"
    assert cell(by_class([crossing("A()", "P()", dense=math.nan)])[2], ("A", "P()")).startswith("✗")


def test_the_terminal_has_both_tables_and_the_failures_in_words():
    out = printed(SOUND)
    assert "A        0.20 <.01" in out
    assert "B        0.50    ·" in out
    assert " 1  P()\n 2  Q(w=3)\n" in out
    assert "│ dense     │ float64 │ 2.0e-16 │ 1e-10 │ 1     │ A(a=1) × P()" in out
    assert "│ arranged  │ float32 │ 2.0e-08 │ 2e-05 │ 1     │ A(a=1) × Q(w=3)" in out
    assert out.endswith("all 5 are within the bound\n")
    out = printed([*SOUND, WRONG, RAISED])
    assert "B() × Q(w=3), float64: dense 1.0e-15, arranged 3.0e-07\nD() × P(), float32: TypeError: no\n" in out
    assert out.endswith("2 of 7 exceed it\n")


def test_the_page_has_the_tables_and_says_what_is_missing():
    page = markdown([*SOUND, WRONG], total=12, made_by="`this`")
    assert "Written by `this`. 6 of 12 are still to be measured (·)." in page
    assert "| A | 0.20 | <.01 |\n| B | 0.50 | ✗ 3.0e+03 |" in page
    assert "1. `P()`\n2. `Q(w=3)`" in page
    assert "| arranged | float64 | 3.0e-07 | 1e-10 | 1 | `B()` × `Q(w=3)` |" in page
    assert "1 of 6 exceed it.\n- B() × Q(w=3), float64: dense 1.0e-15" in page
    assert "- `A(a=1)`\n- `A(a=2)`\n- `B()`\n" in page
    assert "still to be" not in markdown(SOUND, total=5, made_by="`this`")


def test_lines_are_read_back_whatever_interrupted_the_last_one(tmp_path: Path):
    path = tmp_path / "new" / "cross.jsonl"
    assert read(path) == []
    append(path, SOUND[0])
    append(path, NOT_FINITE)
    path.write_bytes(path.read_bytes() + b'{"encoding": "A(')
    append(path, WRONG)
    assert read(path) == [SOUND[0], NOT_FINITE, WRONG]
