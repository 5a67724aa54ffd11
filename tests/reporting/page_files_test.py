"""What is written for a page: each file whole, linked where it lies, figures that show what the page says."""

import re
from pathlib import Path

import pytest

from ropelab.reporting.charts.style import FigureOptions
from ropelab.reporting.page import Facts, Page, Section
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
        ".html": 1, ".md": 1, ".png": 3, ".pdf": 3, ".svg": 3, ".csv": 5, ".parquet": 5,
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


def test_options_reach_the_files_and_the_page(tmp_path):
    options = FigureOptions(width=4.0, title=False, labels="Ours = PI(factor=2.0)")
    made = write_page(page(), tmp_path, options=options)
    name = "smollm2-beyond-8192-tokens-perplexity-by-position"
    drawn = (tmp_path / "figures" / f"{name}.svg").read_text()
    assert 'width="288pt"' in drawn
    assert ">Ours<" in drawn
    assert ">Perplexity by position<" not in drawn
    assert ">Ours<" in made[0].read_text()
    assert "PI(factor=2.0)" in (tmp_path / "data" / f"{name}.csv").read_text()


def test_a_variant_has_one_colour_in_all_figures(tmp_path):
    """Also in one where it is another line."""
    first, second = positions(), positions()._replace(title="Other", series=positions().series[::-1])
    write_page(Page("P", [Section("S", "", (), [first, second])]), tmp_path)
    drawn = [(tmp_path / "figures" / f"s-{name}.svg").read_text() for name in ("perplexity-by-position", "other")]
    colours = [re.findall("#[0-9a-f]{6}", text) for text in drawn]
    assert set(colours[0]) == set(colours[1])


@pytest.mark.parametrize("part", [hostile(bands()), hostile(heat())], ids=lambda part: type(part).__name__)
def test_a_hostile_part_is_written_too(part, tmp_path):
    assert all(path.stat().st_size for path in write_page(Page("", [Section("", "", (), [part])]), tmp_path))
