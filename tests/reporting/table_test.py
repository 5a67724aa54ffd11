"""Records become tables that a reader can trust: the columns in order, the lowest marked, nothing lost on the way."""

import io

import pytest
from rich.console import Console

from ropelab.reporting import runs
from ropelab.reporting.perplexity_table import Column, by_band, by_length, layout, markdown, number, print_tables
from tests.reporting.samples import ARMS, PROTOCOL, records


def test_columns_are_lengths_and_their_ends_and_then_the_bands_of_the_longest() -> None:
    assert by_length(records()) == [Column(24, "all"), Column(80, "all"), Column(80, "last 8")]
    assert by_band(records()) == [Column(80, "[0, 32)"), Column(80, "[32, 80)")]


def test_lengths_are_ordered_as_numbers_also_when_read_from_a_file() -> None:
    """As text, 8192 would come after 12288."""
    rows = [{"arm": "a", "length": length, "band": "all", "perplexity": "1.0"} for length in ("12288", "8192")]
    assert [column.length for column in by_length(rows)] == [8192, 12288]


def test_the_lowest_of_each_column_is_marked_ties_included() -> None:
    best = {arm: [cell.best for cell in row] for arm, row in layout(records(), by_length(records())).items()}
    assert list(best) == list(ARMS)
    assert best == {ARMS[0]: [True, False, False], ARMS[1]: [True, False, False], ARMS[2]: [False, True, True]}


@pytest.mark.parametrize(
    ("value", "text"), [(12.34567, "12.35"), (9999.4, "9999"), (123456.0, "1.2e+05"), (1.0, "1"), (float("inf"), "inf")]
)
def test_numbers_have_four_digits_until_the_model_has_broken_down(value: float, text: str) -> None:
    assert number(value) == text


def test_markdown() -> None:
    assert markdown(records(), by_band(records())).splitlines() == [
        "| arm | [0, 32) | [32, 80) |",
        "|---|---:|---:|",
        "| unchanged | **10** | 1.0e+05 |",
        "| unchanged, chopped at 32 | 11.5 | 14 |",
        "| YaRN(factor=2.0, original_length=32) | 12 | **12.5** |",
    ]


def test_the_terminal_shows_both_tables_and_the_protocol() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    print_tables(records(), PROTOCOL, console)
    text = console.export_text()
    for part in (*ARMS, "last 8", "[32,", "12.35", "1.2e+05", PROTOCOL):
        assert part in text
    assert text.index("by length") < text.index("by position") < text.index(PROTOCOL)


def test_columns_of_text_are_to_the_left():
    lines = [["a", "RoPE()", "**1.5** ± 0.2", "–"], ["b", "3 of 4 words", "-2", "∞"]]
    rule = runs.markdown(["", "encoding", "x", "y"], lines).splitlines()[1]
    assert rule == "| --- | --- | ---: | ---: |"
