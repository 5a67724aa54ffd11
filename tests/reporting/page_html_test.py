"""The page as HTML needs nothing else, has every number's records, and can be used without eyes, mouse or script."""

import base64
import hashlib
import itertools
import math
import re

import pytest

from ropelab.reporting.charts.style import FigureOptions
from ropelab.reporting.page import Cell, Chart, Facts, Heat, Page, Point, Section, Series, Table
from ropelab.reporting.page_html import html
from ropelab.reporting.page_outline import outline
from tests.reporting.html_tree import Element, parsed
from tests.reporting.sample_page import HOSTILE, LONG_ROPE, bands, heat, hostile, page, positions

FILES = {
    slug: [f"figures/{slug}.png", f"data/{slug}.csv"]
    for slug, part in outline(page()).parts()
    if not isinstance(part, Facts)
}
TEXT = html(page(), FILES)
TREE = parsed(TEXT)
HOSTILE_TREE = parsed(html(hostile()))
BOTH = pytest.mark.parametrize("tree", [TREE, HOSTILE_TREE], ids=["sample", "hostile"])


def classes(tree: Element, name: str) -> list[Element]:
    return [element for element in tree.all() if name in (element.attributes.get("class") or "").split()]


def by_id(tree: Element, name: str) -> Element:
    (found,) = [element for element in tree.all() if element.attributes.get("id") == name]
    return found


def test_nothing_is_asked_of_a_network_or_of_another_file():
    assert not re.search(r"https?:|@import|url\((?!#)|srcset|integrity", TEXT)
    assert not [element for element in TREE.all() if "src" in element.attributes]
    assert not TREE.all("link", "img", "iframe", "object", "embed", "form", "base")
    links = [link["href"] for link in TREE.all("a")]
    relative = {path for paths in FILES.values() for path in paths}
    assert all(link in relative or link.startswith("#") for link in links)
    assert relative <= set(links)


def test_the_browser_may_run_this_script_and_style_and_no_other():
    policy = next(meta["content"] for meta in TREE.all("meta") if "http-equiv" in meta.attributes)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    scripts = TREE.all("script")
    for element in (*TREE.all("style"), *scripts):
        digest = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert len(scripts) == 1
    assert not [
        name for element in TREE.all() for name in element.attributes if name.startswith("on") or name == "style"
    ]


@BOTH
def test_headings_are_in_order(tree):
    ranks = [int(heading.tag[1]) for heading in tree.all("h1", "h2", "h3", "h4")]
    assert ranks[0] == 1
    assert ranks.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(ranks))
    assert all(heading.text.strip() for heading in tree.all("h1", "h2", "h3"))


@BOTH
def test_ids_are_unique_and_all_that_is_named_is_there(tree):
    ids = [element["id"] for element in tree.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in tree.all():
        for attribute in ("aria-labelledby", "aria-describedby"):
            assert set((element.attributes.get(attribute) or "").split()) <= set(ids)
    assert {link["href"][1:] for link in tree.all("a") if link["href"].startswith("#")} <= set(ids)


@BOTH
def test_what_scrolls_can_be_reached_and_has_a_name(tree):
    for table in tree.all("table"):
        (region,) = [box for box in classes(tree, "scroll") if table in box.all("table")]
        assert (region["role"], region["tabindex"]) == ("region", "0")
        section, caption = (by_id(tree, name) for name in region["aria-labelledby"].split())
        assert section.tag == "h2"
        assert caption in table.children


@BOTH
def test_tables_have_captions_and_heads_with_scopes(tree):
    for table in tree.all("table"):
        (caption,) = table.all("caption")
        assert caption.text.strip()
        assert all(head["scope"] in ("col", "row", "colgroup") for head in table.all("th"))
        for row in table.all("tbody")[0].all("tr"):
            assert [cell.tag for cell in row.all("th", "td")].count("th") == 1


@BOTH
def test_drawings_have_a_title_and_a_description(tree):
    drawings = tree.all("svg")
    assert len(drawings) == 6, "a wide and a narrow one of each chart and heat map"
    assert all(svg["role"] == "img" for svg in drawings)
    assert all(svg["aria-label"].count(".") >= 2 for svg in drawings)


def test_a_drawing_is_described_by_its_axes_and_ends():
    label = by_id(TREE, "length-extrapolation-lex-perplexity-against-length").all("svg")[0]["aria-label"]
    assert label.startswith("Perplexity against length. perplexity against length (tokens). Sinusoidal(): from 3.962")
    assert label.endswith("Marked: trained on 512 at 512.")


def test_the_page_can_be_walked():
    assert TREE.all("html")[0]["lang"] == "en"
    assert (len(TREE.all("header")), len(TREE.all("nav")), len(TREE.all("main"))) == (1, 1, 1)
    first = TREE.all("a")[0]
    assert first["href"] == "#main"
    contents = [link["href"] for link in TREE.all("nav")[0].all("a")]
    sections = [f"#{part['id']}" for part in TREE.all("main")[0].children if isinstance(part, Element)]
    assert contents == sections


def test_verdicts_come_first_and_in_words():
    words = [re.sub(r"\s+", " ", word.text).strip() for word in classes(TREE, "word")]
    assert words == ["✓ reproduced", "✓ reproduced", "✗ not reproduced", "✓ reproduced", "– not testable at this size"]
    section = by_id(TREE, "length-extrapolation-lex").text
    assert section.index("2 of 3 claims") < section.index("LEX falls") < section.index("Question")
    assert TREE.all("header")[0].text.index("3 of 5 claims reproduced") > 0


def test_the_best_is_said_and_not_only_shown():
    best = classes(TREE, "best")
    assert [cell.all("strong")[0].text for cell in best] == ["3.803", "3.598", "3.549", "3.521", "3.508", "1"]
    assert all("(best of its column)" in cell.text for cell in best)


def test_every_number_of_a_table_is_traced_to_its_records():
    """From the printed cell by its title, and by row and column in the list of records."""
    for slug, part in outline(page()).parts():
        if not isinstance(part, Table):
            continue
        tables = by_id(TREE, slug).all("table")
        printed, listed = ([row.all("th", "td") for row in table.all("tbody")[0].all("tr")] for table in tables)
        traced = {(row[0].text, row[1].text, float(row[2].text)): row[4] for row in listed}
        for row, shown in zip(part.rows, printed, strict=True):
            for column, cell, element in zip(part.head[1:], row[1:], shown[1:], strict=True):
                if cell.value is None:
                    continue
                records = traced[row[0].text.strip("`"), column, cell.value]
                assert [code.text for code in records.all("code")] == list(cell.sources)
                assert float(element["data-value"]) == cell.value
                assert (element.attributes.get("title") or "").split("\n") == (list(cell.sources) or [""])


@pytest.mark.parametrize("part", [bands(), positions(), heat()], ids=lambda part: type(part).__name__)
def test_the_numbers_of_a_figure_are_in_a_table_under_it(part):
    (slug,) = [name for name, one in outline(page()).parts() if one == part]
    (details,) = by_id(TREE, slug).all("details")
    rows = [[cell.text for cell in row.all("th", "td")] for row in details.all("tr")]
    if isinstance(part, Heat):
        assert rows[0] == ["depth / length (tokens)", *part.columns]
        assert rows[3] == ["0.50", "0.90", "0.77", "0.55", "0.31", "–"]
        return
    assert rows[0] == [part.x, *(line.name for line in part.series)]
    for row in rows[1:]:
        for text, line in zip(row[1:], part.series, strict=True):
            (point,) = [point for point in line.points if abs(point.x - float(row[0])) <= 0.5]
            assert float(text.split()[0]) == pytest.approx(point.y, rel=1e-3)
            assert ("[" in text) == (point.low is not None)


def test_long_lines_stay_light():
    data = by_id(TREE, "smollm2-beyond-8192-tokens-perplexity-by-position-data")
    (table,) = [table for table in TREE.all("table") if data in table.children]
    assert len(table.all("tr")) == 41
    assert len(TEXT) < 300_000


def test_hostile_text_is_text():
    assert len(HOSTILE_TREE.all("script")) == len(TREE.all("script"))
    assert len(HOSTILE_TREE.all("style")) == 1
    assert not HOSTILE_TREE.all("b")
    assert HOSTILE_TREE.all("title")[0].text == HOSTILE.replace("`", "")
    assert HOSTILE_TREE.all("h1")[0].text == HOSTILE.replace("`", "")
    assert not [n for element in HOSTILE_TREE.all() for n in element.attributes if n.startswith("on")]


def test_code_is_code_and_can_be_broken():
    (spec,) = [code for code in TREE.all("code") if code.text == LONG_ROPE]
    assert len(spec.all("wbr")) == 1
    flags = [flag.text for flag in classes(TREE, "flag")]
    assert flags == ["-m", "--workdir=lex"]


def test_what_is_not_finite_or_not_there():
    cells = [[Cell("a"), Cell("∞", math.inf), Cell("–", math.nan)]]
    chart = Chart("C", "x", "y", [Series("s", [Point(1, math.inf), Point(2, 3)])])
    heat = Heat("H", "r", "c", ["1"], ["2"], [[math.nan]])
    tree = parsed(html(Page("T", [Section("S", "", (), [Table("t", ["", "b", "c"], cells), chart, heat])])))
    assert tree.all("th")[0].text == "name"
    assert [td.attributes.get("data-value") for td in tree.all("td")[:2]] == ["Infinity", "nan"]
    assert [[td.text for td in by_id(tree, f"s-{name}").all("td")] for name in "ch"] == [["∞", "3"], ["–"]]


def test_labels_are_those_of_the_options():
    tree = parsed(html(page(), options=FigureOptions(labels="Ours = PI(factor=2.0)", width=1.5)))
    figure = by_id(tree, "smollm2-beyond-8192-tokens-perplexity-by-position")
    drawings = figure.all("svg")
    assert all("Ours" in {text.text for text in svg.all("text")} for svg in drawings)
    assert all("Ours: from" in svg["aria-label"] for svg in drawings)
    assert drawings[0]["viewbox"].split()[2].startswith("547")


def test_a_page_of_nothing():
    tree = parsed(html(Page("Nothing", [])))
    assert [heading.text for heading in tree.all("h1", "h2", "h3")] == ["Nothing"]


def test_a_section_begins_with_its_lead():
    page = parsed(html(Page("P", [Section("S", "What?", (), [], "All is `well`.")])))
    (lead,) = (p for p in page.all("p") if p.attributes.get("class") == "lead")
    assert lead.text == "All is well."
