"""A page on disk: HTML, Markdown, its figures as PNG, PDF and SVG, its data as CSV and Parquet."""

import os
from pathlib import Path

from matplotlib.figure import Figure

from ropelab.reporting.charts.heat_maps import draw_heat
from ropelab.reporting.charts.lines import draw_chart
from ropelab.reporting.charts.style import FORMATS, FigureOptions, Styles, render, styles_of
from ropelab.reporting.files import write
from ropelab.reporting.page import Chart, Heat, Page, Part, Table
from ropelab.reporting.page_data import as_csv, as_parquet, libraries
from ropelab.reporting.page_html import html
from ropelab.reporting.page_markdown import markdown
from ropelab.reporting.page_outline import outline


def write_page(page: Page, folder: Path, *, name: str = "report", options: FigureOptions | None = None) -> list[Path]:
    """Write `{name}.html` and `.md`, `figures/*.{png,pdf,svg}`, `data/*.{csv,parquet}`, each whole or not at all.

    Returns:
        What was written, the pages first.

    Raises:
        ModuleNotFoundError: without pyarrow, before anything is written.
    """
    libraries()
    styles = page_styles(page)
    made = {slug: write_part(part, slug, folder, options, styles) for slug, part in outline(page).parts()}
    links = {slug: [path.relative_to(folder).as_posix() for path in paths] for slug, paths in made.items()}
    images = {slug: path for slug, paths in links.items() for path in paths if path.endswith(".png")}
    pages = [
        write(folder / f"{name}.html", html(page, links, options)),
        write(folder / f"{name}.md", markdown(page, images)),
    ]
    return pages + [path for paths in made.values() for path in paths]


def write_markdown(page: Page, path: Path, figures: Path, options: FigureOptions | None = None) -> list[Path]:
    """Write the page as one Markdown file, its figures as PNG in a folder, which it links to by a relative path."""
    images: dict[str, Path] = {}
    styles = page_styles(page)
    for slug, part in outline(page).parts():
        if isinstance(part, Chart | Heat):
            images[slug] = write(figures / f"{slug}.png", render(draw_part(part, options, styles), "png"))
    links = {slug: Path(os.path.relpath(target, path.parent)).as_posix() for slug, target in images.items()}
    return [write(path, markdown(page, links)), *images.values()]


def write_part(part: Part, slug: str, folder: Path, options: FigureOptions | None, styles: Styles) -> list[Path]:
    """Write the figure of a part, if it has one, and its data."""
    made: list[Path] = []
    if isinstance(part, Chart | Heat):
        figure = draw_part(part, options, styles)
        made += [write(folder / "figures" / f"{slug}.{kind}", render(figure, kind)) for kind in FORMATS]
    if isinstance(part, Table | Chart | Heat):
        made.append(write(folder / "data" / f"{slug}.csv", as_csv(part)))
        made.append(write(folder / "data" / f"{slug}.parquet", as_parquet(part)))
    return made


def page_styles(page: Page) -> Styles:
    """One style per variant for all charts of a page."""
    return styles_of(part for _, part in outline(page).parts() if isinstance(part, Chart))


def draw_part(part: Chart | Heat, options: FigureOptions | None = None, styles: Styles | None = None) -> Figure:
    """Draw a chart or a heat map."""
    return draw_chart(part, options, styles) if isinstance(part, Chart) else draw_heat(part, options)
