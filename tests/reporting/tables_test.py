"""Records become tables that a reader can trust: the columns in order, the lowest marked, nothing lost on the way."""

import io
import math
from typing import Any

import pytest
from rich.console import Console

from ropelab.evaluation.record import Protocol, Record
from ropelab.reporting.page import Table
from ropelab.reporting.page_markdown import body
from ropelab.reporting.tables import (
    decoding_table,
    distance_tables,
    evaluation_tables,
    format_perplexity,
    make_table,
    markdown_grid,
    position_tables,
    print_table,
)
from tests.reporting.samples import PROTOCOL, VARIANTS, records


def head(table: Table) -> list[str]:
    return [" ".join(name.split()) for name in table.head]


def test_columns_are_lengths_and_their_tails_and_then_the_bands_of_the_longest() -> None:
    by_length, by_position = position_tables(records())
    assert head(by_length) == ["variant", "24 all", "80 all", "80 last 8"]
    assert head(by_position) == ["variant", "[0, 32)", "[32, 80)"]
    assert [table.title for table in position_tables([r for r in records() if r.first is None])] == [by_length.title]


def test_the_lowest_of_each_column_is_marked_ties_included() -> None:
    table, _ = position_tables(records())
    best = {row[0].text.strip("`"): [cell.best for cell in row[1:]] for row in table.rows}
    assert list(best) == list(VARIANTS)
    assert best == {
        VARIANTS[0]: [True, False, False], VARIANTS[1]: [True, False, False], VARIANTS[2]: [False, True, True],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"), [(12.34567, "12.35"), (9999.4, "9999"), (123456.0, "1.2e+05"), (1.0, "1"), (math.inf, "inf")]
)
def test_numbers_have_four_digits_until_the_model_has_broken_down(value: float, text: str) -> None:
    assert format_perplexity(value) == text


def test_markdown() -> None:
    _, table = position_tables(records())
    assert body(table, None)[0].splitlines() == [
        "| variant | [0,<br>32) | [32,<br>80) |",
        "| --- | ---: | ---: |",
        "| unchanged | **10** | 1.0e+05 |",
        "| unchanged, chopped at 32 | 11.5 | 14 |",
        "| `YaRN(factor=2.0, original_length=32)` | 12 | **12.5** |",
    ]


def test_the_terminal_shows_the_table_and_the_protocol() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    for table in position_tables(records()):
        print_table(table, console, remark=" (lowest of each column in bold)")
    text = console.export_text()
    for part in (*VARIANTS, "last 8", "[32,", "12.35", "1.2e+05", PROTOCOL.line()):
        assert part in text
    assert text.index("by length (lowest of each column in bold)") < text.index("by position") < text.rindex("noise")


def test_columns_of_text_are_to_the_left() -> None:
    lines = [["a", "RoPE()", "**1.5** ± 0.2", "–"], ["b", "3 of 4 words", "-2", "∞"]]
    rule = markdown_grid(["", "encoding", "x", "y"], lines).splitlines()[1]
    assert rule == "| --- | --- | ---: | ---: |"


def score(variant: str, value: float, **columns: Any) -> Record:
    same: dict[str, Any] = {"evaluation": "passkey", "metric": "score", "length": 128, "count": 2}
    return Record(variant=variant, value=value, protocol=Protocol(method="asked"), **same | columns)


def test_depths_and_seeds_pool_and_every_source_is_named() -> None:
    own = [score("a", float(d), depth=float(d), seed=s, sources=(f"f:{d}{s}",)) for d in (0, 1) for s in (0, 1)]
    (table,) = evaluation_tables(own)
    (row,) = table.rows
    assert (row[1].text, row[1].value, len(row[1].sources)) == ("0.50 [0.22, 0.78]", 0.5, 4)
    assert table.note == "asked; seeds 0, 1; questions: 8 at 128."


def test_the_scores_of_several_families_share_a_table_and_heads_have_none() -> None:
    own = [score("a", 0.5), score("a", 1.0, evaluation="lines", length=64)]
    heads = [
        Record(variant="a", evaluation="heads", metric="stability", length=64, value=1.0, count=1, layer=0, head=1)
    ]
    (table,) = evaluation_tables(own + heads)
    assert table.head == ["evaluation", "variant", "64", "128"]
    assert [[cell.text for cell in row[:2]] for row in table.rows] == [["passkey", "a"], ["lines", "a"]]
    assert table.rows[0][2].text == ""


def test_distances_from_the_end_are_a_table_where_there_are_many() -> None:
    own = [score(v, k / 16, depth=1 - k / 16, length=256) for v in "ab" for k in range(1, 17)]
    (table,) = distance_tables(own)
    assert table.head == ["tokens", "a", "b"]
    assert [row[0].text for row in table.rows] == [str(16 * k) for k in range(1, 17)]
    assert not distance_tables(own[:4])


def test_a_row_holds_both_ways_of_reading() -> None:
    values = {"nll_full": math.log(2.0), "nll_decoded": math.log(3.0), "largest_difference": 0.5}
    own = [
        Record(variant="a", evaluation="decoding", metric=m, length=2, first=1, last=2, value=v, count=1)
        for m, v in values.items()
    ]
    assert [cell.text for cell in decoding_table(own).rows[0]] == ["a", "2.0000", "3.0000", "0.5"]


def test_an_unknown_metric_is_printed_as_it_is() -> None:
    own = [Record(variant="a", evaluation="costs", metric="gib", length=8, value=3.25, count=1)]
    assert make_table("costs", own).rows[0][1].text == "3.25"


def test_resolutions_have_a_table_per_way_of_getting_the_scores() -> None:
    rows = (
        ("a", "expected", 64, 0.5),
        ("a", "expected", 32, -0.25),
        ("b", "expected", 64, 1 / 3),
        ("a", "measured", 64, 9.0),
    )
    own = [Record(variant=v, evaluation="resolution", metric=m, length=n, value=r, count=1) for v, m, n, r in rows]
    table, other = evaluation_tables(own)
    assert table.title == "Attention resolution by length, expected, q = k = 1"
    assert other.title == "Attention resolution by length, measured, mean of layers and heads"
    assert table.head == ["variant", "32", "64"]
    assert [[cell.text for cell in row] for row in table.rows] == [["a", "-0.2500", "0.5000"], ["b", "–", "0.3333"]]
