"""Verdicts as a table in the terminal and as a page."""

import io

from rich.console import Console

from ropelab.reporting.contract_table import by_class, markdown, print_matrix, print_verdicts

FINDINGS = {
    "A(a=1)": [("first", "pass", ""), ("second", "n/a", "no reason to"), ("third", "n/a", "nor here")],
    "A(a=2)": [("first", "FAIL", "1 instead of 2"), ("second", "pass", ""), ("third", "n/a", "nor here")],
    "B()": [("first", "pass", ""), ("second", "pass", ""), ("third", "pass", "")],
}


def printed(show, *arguments) -> str:
    text = io.StringIO()
    show(*arguments, Console(file=text, width=60))
    return text.getvalue()


def test_a_class_is_as_good_as_its_worst_example():
    assert by_class(FINDINGS) == {
        "A": {"first": "FAIL", "second": "pass", "third": "n/a"},
        "B": dict.fromkeys(("first", "second", "third"), "pass"),
    }


def test_one_encoding_has_its_counterexamples_below():
    out = printed(print_verdicts, "A(a=2)", FINDINGS["A(a=2)"])
    assert "n/a: nor here" in out
    assert out.endswith("first\n  1 instead of 2\nA(a=2): 1 of 2 properties fail\n")
    assert printed(print_verdicts, "B()", FINDINGS["B()"]).endswith("B(): all 3 properties hold\n")


def test_the_matrix_numbers_the_properties():
    out = printed(print_matrix, FINDINGS)
    assert "encoding 1 2 3" in out
    assert "A        ✗ ✓ ·" in out
    assert "B        ✓ ✓ ✓" in out
    assert " 1  first\n 2  second\n 3  third\n" in out
    assert "A(a=2): 1 of 2 properties fail" in out
    assert "B(): all" not in out


def test_the_page_has_the_table_and_what_it_means():
    page = markdown(FINDINGS, {"first": "One.", "second": "Two\n  lines.", "third": "Three."}, made_by="`this`")
    assert "| A | ✗ | ✓ | n/a |\n| B | ✓ | ✓ | ✓ |" in page
    assert "2. `second`: Two lines." in page
    assert "- `A(a=1)`\n- `A(a=2)`\n- `B()`\n" in page
    assert "Written by `this`." in page
