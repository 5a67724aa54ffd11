"""The page in a real browser, opened from disk: it asks for nothing, says nothing on the console, and can be used."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ropelab.reporting.page_html import html
from tests.reporting.sample_page import hostile, page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((found for found in map(shutil.which, NAMES) if found), None)
if CHROMIUM is None:
    pytest.skip("no Chromium on PATH; apt-get install chromium", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright; pip install playwright")

DESKTOP, PHONE = (1280, 900), (375, 812)
ARMS = "#length-extrapolation-lex-perplexity-by-length table.sortable"
POSITIONS = "#smollm2-beyond-8192-tokens-perplexity-by-position"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        # the sandbox needs rights that a container does not have; the only page opened is our own
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {name: folder / f"{name}.html" for name in ("sample", "hostile")}
    for name, made in (("sample", page()), ("hostile", hostile())):
        found[name].write_text(html(made))
    return found


@pytest.fixture
def opened(browser, pages) -> Iterator[Any]:
    """Opens a page, and fails if it logged, threw, asked or loaded anything by the end of the test."""
    troubles: list[str] = []
    contexts = []

    def show(name: str = "sample", size: tuple[int, int] = DESKTOP, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        contexts.append(context)
        tab = context.new_page()
        address = pages[name].as_uri()
        tab.on("console", lambda message: troubles.append(message.text))
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("dialog", lambda dialog: troubles.append(dialog.message))
        tab.on("request", lambda request: request.url != address and troubles.append(request.url))
        tab.goto(address)
        return tab

    yield show
    for context in contexts:
        context.close()
    assert not troubles


def column(tab: Any, number: int) -> list[str]:
    return tab.locator(f"{ARMS} tbody tr > :nth-child({number})").all_inner_texts()


def sorts(tab: Any) -> list[str | None]:
    return [head.get_attribute("aria-sort") for head in tab.locator(f"{ARMS} thead th").all()]


@pytest.mark.parametrize("name", ["sample", "hostile"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_it_opens_without_trouble_and_nothing_runs_over(opened, name, size):
    tab = opened(name, size)
    tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert tab.evaluate("document.body.scrollWidth") <= size[0]


def test_a_click_sorts_a_table_and_another_turns_it_round(opened):
    tab = opened()
    before = column(tab, 1)
    button = tab.locator(f"{ARMS} thead button").nth(5)
    button.click()
    assert sorts(tab) == [None, None, None, None, None, "ascending"]
    assert [text.split()[0] for text in column(tab, 6)] == ["3.508", "3.539", "3.566", "7.743", "11.820", "21.370", "–"]
    button.click()
    assert sorts(tab)[5] == "descending"
    assert [text.split()[0] for text in column(tab, 6)] == ["21.370", "11.820", "7.743", "3.566", "3.539", "3.508", "–"]
    assert sorted(column(tab, 1)) == sorted(before)


def test_the_keyboard_sorts_a_table_by_its_names(opened):
    tab = opened()
    tab.locator(f"{ARMS} thead button").first.focus()
    tab.keyboard.press("Enter")
    assert sorts(tab)[0] == "ascending"
    assert [name.split("(")[0] for name in column(tab, 1)] == [
        "ALiBi", "LEX, in the paper", "RoPE", "RoPE", "Sinusoidal", "XPos", "XPos",
    ]  # fmt: skip
    tab.keyboard.press("Space")
    assert sorts(tab)[0] == "descending"
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert sorts(tab)[:2] == [None, "ascending"]


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_every_figure_is_drawn_once_and_is_readable(opened, size):
    tab = opened(size=size)
    figures = tab.locator("figure.plot")
    assert figures.count() == 3
    for index in range(3):
        (drawing,) = [svg for svg in figures.nth(index).locator("svg").all() if svg.is_visible()]
        box = drawing.bounding_box()
        assert box["width"] > 0.8 * min(size[0], 900)
        for text in drawing.locator("text").all():
            inside = text.bounding_box()
            assert inside["height"] >= 9
            assert inside["x"] >= box["x"] - 2
            assert inside["x"] + inside["width"] <= box["x"] + box["width"] + 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_and_text_have_contrast_in_both_schemes(opened, scheme):
    """Three to one for lines, as WCAG 2 asks of graphics, 4.5 to one for text."""
    tab = opened(color_scheme=scheme)
    paper = "getComputedStyle(document.body).backgroundColor"
    drawing = tab.locator(f"{POSITIONS} .wide svg")
    computed = "(all, name) => all.map((element) => getComputedStyle(element)[name])"
    strokes = drawing.locator("path[stroke-width='1.4']").evaluate_all(computed, "stroke")
    fills = drawing.locator("text").evaluate_all(computed, "fill")
    assert len(set(strokes)) == 3, "chopped text is dashed in the colour of the line before it"
    assert all(contrast(stroke, tab.evaluate(paper)) >= 3 for stroke in strokes)
    assert all(contrast(fill, tab.evaluate(paper)) >= 4.5 for fill in fills)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as a browser computes them, `rgb(...)`."""

    def luminance(colour: str) -> float:
        parts = [float(v) / 255 for v in re.findall(r"[\d.]+", colour)[:3]]
        red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_numbers_of_a_figure_can_be_opened(opened):
    figure = opened().locator(POSITIONS)
    assert not figure.locator("table").is_visible()
    figure.locator("summary").click()
    assert figure.locator("tbody tr").count() == 40
    assert figure.locator("table").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_button_changes_between_light_and_dark_and_is_remembered(opened, scheme):
    tab = opened(color_scheme=scheme)
    button = tab.get_by_role("button", name="Dark colours")
    paper = "getComputedStyle(document.documentElement).colorScheme"
    other = {"light": "dark", "dark": "light"}[scheme]
    background = "getComputedStyle(document.body).backgroundColor"
    before = tab.evaluate(background)
    assert (button.get_attribute("aria-pressed"), tab.evaluate(paper)) == (str(scheme == "dark").lower(), scheme)
    button.click()
    assert (button.get_attribute("aria-pressed"), tab.evaluate(paper)) == (str(other == "dark").lower(), other)
    assert tab.evaluate(background) != before
    tab.reload()
    assert tab.evaluate(paper) == other


def test_without_scripts_all_is_there_to_read(opened):
    tab = opened(java_script_enabled=False)
    assert tab.locator(".plot .wide svg").count() == 3
    assert tab.locator("table.sortable button").count() == 0
    assert not tab.get_by_role("button", name="Dark colours").is_visible()
    tab.locator("summary", has_text="Sources").first.click()
    assert tab.get_by_text("lex/arm0-0/evaluations.jsonl:21").is_visible()


def test_what_is_folded_away_is_printed(opened):
    tab = opened()
    before = tab.evaluate("document.querySelectorAll('details[open]').length")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("details:not([open])").count() == 0
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate("document.querySelectorAll('details[open]').length") == before == 0


def test_it_can_be_photographed(opened, tmp_path):
    for size in (DESKTOP, PHONE):
        picture = opened(size=size).screenshot(path=tmp_path / f"{size[0]}.png", full_page=True)
        assert len(picture) > 50_000


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")])
def test_axe_finds_nothing_that_shuts_a_reader_out(opened, size, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    tab = opened(size=size, color_scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    found = axe.Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()
