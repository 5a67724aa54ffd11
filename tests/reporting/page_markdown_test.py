"""A page as Markdown: the verdicts first, the best in bold, and nothing in a text is taken for Markdown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ropelab.reporting.page import Cell, Page, Section, Table
from ropelab.reporting.page_markdown import bold, inline, markdown, prose
from tests.reporting.sample_page import HOSTILE, hostile, page

FIGURE = "smollm2-beyond-8192-tokens-perplexity-by-position"
HEAT = "smollm2-beyond-8192-tokens-passkeys-by-depth-and-length"
READER = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
TEXTS = st.text("\\*_|<>&[]()#~!+-=1.a;lt/: ", min_size=1).map(lambda text: " ".join(text.split())).filter(bool)


def read(text: str) -> list[str]:
    """The paragraphs and cells of Markdown as they are read."""
    blocks = [token.children or [] for token in READER.parse(text) if token.type == "inline"]
    texts = ("text", "code_inline")
    return ["".join(t.content if t.type in texts else f"{{{t.type}}}" for t in block) for block in blocks]


@given(TEXTS)
def test_a_text_is_read_as_it_is(text):
    assert read(prose(text)) == [text]
    assert read(f"| a | b |\n|---|---|\n| {inline(text)} | c |") == ["a", "b", text, "c"]


def test_the_sample_as_markdown():
    text = markdown(page(), {FIGURE: "figures/a b.png"})
    assert text.startswith("# ropelab: what was asked, and what came of it\n\n**3 of 5 claims reproduced, ")
    assert "| claim | verdict | seeds | margin |\n|---|---|---:|---|\n| LEX falls with" in text
    assert "| ✓ reproduced | 3 of 3 | 0.013 ± 0.004 nats" in text
    assert "| – not testable at this size: it needs a model of 7B" in text
    assert "| `ALiBi()` | **3.803** ± 0.030 | 3.611 ± 0.027 |" in text
    assert "![Perplexity by position](figures/a%20b.png)\n\nSmolLM2-135M" in text
    assert "| depth \\\\ length (tokens) | 256 |" in text
    assert "| 0.50 | 0.90 | 0.77 | 0.55 | 0.31 |  |" in text
    assert "| steps | train<br>evaluate |" in text
    assert text.index("2 of 3 claims") < text.index("*Question:*") < text.index("### Perplexity by length")


def test_a_heat_map_is_an_image_where_there_is_one():
    text = markdown(page(), {HEAT: "heat.png"})
    assert "![Passkeys by depth and length](heat.png)" in text
    assert "| depth" not in text


def test_a_section_without_verdicts_counts_none():
    assert markdown(Page("T", [Section("S", "")]), {}) == "# T\n\n## S\n"


def test_hostile_text_is_text():
    text = markdown(hostile(), {})
    tokens = [child for token in READER.parse(text) for child in [token, *(token.children or [])]]
    assert not [t.content for t in tokens if t.type in ("html_block", "link_open", "image")]
    assert not [t.content for t in tokens if t.type == "html_inline" and t.content != "<br>"]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert read(text)[0] == HOSTILE.replace("`", "")
    bars = {line.replace("\\|", "").count("|") for line in rows}
    assert bars == {3, 4, 5, 7}


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell("3.50", 3.5, 0.0312, best=True), "**3.50** ± 0.03"),
        (Cell("1", 1.0, 0.05), "1 ± 0.05"),
        (Cell("1234", 1234.0, 12.3), "1234 ± 12"),
        (Cell("0.5", 0.5, 0.0), "0.5 ± 0"),
        (Cell("1.2e+05", 1.2e5, 300.0), "1.2e+05 ± 3e+02"),
        (Cell("3.5 ± 0.2", 3.5, 0.21), "3.5 ± 0.2"),
        (Cell("", best=True), ""),
    ],
)
def test_cells(cell, text):
    assert bold(cell) == text


def test_a_table_of_nothing():
    assert "| a | b |\n| --- | ---: |" in markdown(Page("", [Section("", "", (), [Table("t", ["a", "b"], [])])]), {})


def test_a_section_begins_with_its_lead():
    text = markdown(Page("P", [Section("S", "What?", (), [], "All is *well*.")]), {})
    assert text.index("## S") < text.index("All is \\*well\\*.") < text.index("What?")
