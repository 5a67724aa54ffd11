"""What is written for a page: each file whole, linked where it lies, figures that show what the page says."""

from pathlib import Path

import pytest

from ropelab.reporting.charts.lines import draw_chart, draw_heat, draw_part
from ropelab.reporting.page import Chart, Facts, Heat, Page, Point, Section, Series
from ropelab.reporting.page_files import write_markdown, write_page
from ropelab.reporting.page_outline import outline
from tests.reporting.html_tree import parsed
from tests.reporting.sample_page import bands, heat, hostile, page, positions

pytest.importorskip("pyarrow")


def test_every_part_is_written_and_linked(tmp_path):
    made = write_page(page(), tmp_path, name="lex")
    assert [path.name for path in made[:2]] == ["lex.html", "lex.md"]
    assert sorted(made) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    kinds = [path.suffix for path in made]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        ".html": 1, ".md": 1, ".png": 3, ".pdf": 3, ".csv": 5, ".parquet": 5,
    }  # fmt: skip
    links = [link["href"] for link in parsed(made[0].read_text()).all("a") if not link["href"].startswith("#")]
    assert sorted(links) == sorted(path.relative_to(tmp_path).as_posix() for path in made[2:])
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made if path.suffix == ".png")
    assert all(path.read_bytes().startswith(b"%PDF") for path in made if path.suffix == ".pdf")
    images = [line for line in made[1].read_text().splitlines() if line.startswith("![")]
    assert all((tmp_path / line.split("](")[1][:-1]).is_file() for line in images)
    assert len(images) == 3


def test_markdown_alone_links_to_figures_elsewhere(tmp_path):
    made = write_markdown(page(), tmp_path / "docs" / "results.md", tmp_path / "docs" / "results")
    assert [path.suffix for path in made] == [".md", ".png", ".png", ".png"]
    assert "](results/smollm2-beyond-8192-tokens-perplexity-by-position.png)" in made[0].read_text()
    (moved, *_) = write_markdown(page(), tmp_path / "other" / "a.md", tmp_path / "figures")
    assert "](../figures/smollm2" in moved.read_text()


def test_names_are_made_of_titles_and_are_unique():
    parts = [bands(), bands(), Facts("Ü / ?", []), Facts("?", [])]
    found = outline(Page("", [Section("A b", "", (), parts), Section("A b", "")], [Facts("?", [])]))
    assert [placed.slug for placed in found.sections] == ["a-b", "a-b-2"]
    assert [name for name, _ in found.parts()] == [
        "a-b-perplexity-against-length", "a-b-perplexity-against-length-2", "a-b-u", "a-b-part",
    ]  # fmt: skip
    assert found.facts[0][0] == "page-part"


def test_a_name_is_short_and_says_where_it_lies():
    found = outline(Page("", [Section("word " * 40, "", (), [bands()])]))
    assert all(len(name) <= 125 and Path(name).name == name for name, _ in found.parts())


def test_a_figure_has_the_lines_axes_and_note_of_its_chart():
    drawn = draw_chart(positions())
    (axes,) = drawn.axes
    assert [line.get_label() for line in axes.get_lines()[:4]] == [line.name for line in positions().series]
    assert axes.get_title(loc="left") == "Perplexity by position"
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    assert list(axes.get_xticks()) == list(range(0, 16385, 2048))
    assert any("trained on 8192" in text.get_text() for text in axes.texts)
    notes = [text.get_text() for part in drawn.subfigs for text in part.texts]
    assert any("SmolLM2-135M, 1 window" in note for note in notes)


def test_a_figure_has_the_band_of_each_line():
    (axes,) = draw_chart(bands()).axes
    assert len(axes.collections) == 6
    assert [line.get_linestyle() for line in axes.get_lines()[:6]] == ["-", "-", "--", "-", "-", "--"]


def test_a_heat_map_has_its_values_and_a_scale():
    axes, bar = draw_heat(heat()).axes
    assert [text.get_text() for text in axes.texts][12:15] == ["0.55", "0.31", "–"]
    assert bar.get_ylim() == (0, 1)


EMPTY = [
    Chart("", "", "", []),
    Chart("", "", "", [Series("a", [])], log_y=True),
    Chart("", "", "", [Series("a", [Point(float("nan"), 1)])]),
    Heat("", "", "", [], [], []),
    Heat("", "", "", ["a"], [str(n) for n in range(40)], [[0.5] * 40]),
]


@pytest.mark.parametrize("part", [*EMPTY, hostile(bands()), hostile(heat())], ids=lambda part: type(part).__name__)
def test_what_is_empty_or_hostile_is_drawn_too(part, tmp_path):
    draw_part(part).savefig(tmp_path / "figure.png")
