"""A page on disk: HTML, Markdown, its figures as PNG and PDF, its data as CSV and Parquet."""

import os
from pathlib import Path

from ropelab.reporting.charts.lines import draw_part
from ropelab.reporting.charts.perplexity import render
from ropelab.reporting.files import write
from ropelab.reporting.page import Chart, Heat, Page, Part, Table
from ropelab.reporting.page_data import as_csv, as_parquet, libraries
from ropelab.reporting.page_html import html
from ropelab.reporting.page_markdown import markdown
from ropelab.reporting.page_outline import outline


def write_page(page: Page, folder: Path, *, name: str = "report") -> list[Path]:
    """Write `{name}.html` and `.md`, `figures/*.png` and `.pdf`, `data/*.csv` and `.parquet`, each whole or not at all.

    Returns:
        What was written, the pages first.

    Raises:
        ModuleNotFoundError: without pyarrow, before anything is written.
    """
    libraries()
    made = {slug: write_part(part, slug, folder) for slug, part in outline(page).parts()}
    links = {slug: [path.relative_to(folder).as_posix() for path in paths] for slug, paths in made.items()}
    images = {slug: path for slug, paths in links.items() for path in paths if path.endswith(".png")}
    pages = [
        write(folder / f"{name}.html", html(page, links)),
        write(folder / f"{name}.md", markdown(page, images)),
    ]
    return pages + [path for paths in made.values() for path in paths]


def write_markdown(page: Page, path: Path, figures: Path) -> list[Path]:
    """Write the page as one Markdown file, its figures as PNG in a folder, which it links to by a relative path."""
    images: dict[str, Path] = {}
    for slug, part in outline(page).parts():
        if isinstance(part, Chart | Heat):
            images[slug] = write(figures / f"{slug}.png", render(draw_part(part), "png"))
    links = {slug: Path(os.path.relpath(target, path.parent)).as_posix() for slug, target in images.items()}
    return [write(path, markdown(page, links)), *images.values()]


def write_part(part: Part, slug: str, folder: Path) -> list[Path]:
    """The figure of a part, if it has one, and its data."""
    made: list[Path] = []
    if isinstance(part, Chart | Heat):
        drawing = draw_part(part)
        made += [write(folder / "figures" / f"{slug}.{kind}", render(drawing, kind)) for kind in ("png", "pdf")]
    if isinstance(part, Table | Chart | Heat):
        made.append(write(folder / "data" / f"{slug}.csv", as_csv(part)))
        made.append(write(folder / "data" / f"{slug}.parquet", as_parquet(part)))
    return made
