"""Whatever the README and the docs point to is there: files, sections, modules, configurations, targets of make."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ropelab.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
OURS = "https://colab.research.google.com/github/ropelab/ropelab/blob/main/"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def links(text: str) -> Iterator[str]:
    """The targets of links and images outside of blocks of code."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    prose = "\n".join(line for line in prose.splitlines() if not line.startswith("    "))
    yield from re.findall(r"\]\(([^()\s]+)\)", prose)


def headings(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def missing(paths: Iterator[Path] | list[Path]) -> list[str]:
    """The paths that are not there."""
    return [str(path) for path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path):
    for target in links(page.read_text()):
        if target.startswith("http") and not target.startswith(OURS):
            continue
        file, _, section = target.removeprefix(OURS).partition("#")
        folder = ROOT if target.startswith(OURS) else page.parent
        path = (folder / file).resolve() if file else page
        assert not missing([path.relative_to(ROOT)]), f"{name(page)}: {target}"
        assert not section or section in headings(path.read_text()), f"{name(page)}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_programs_and_configurations_that_are_named_are_there(page: Path):
    text = page.read_text()
    modules = re.findall(r"(?:python|\.venv/bin/python) -m ((?:experiments|benchmarks|tests|tools)[\w.]*\w)", text)
    modules += re.findall(r"`((?:experiments|benchmarks|tools)\.\w+)`", text)
    assert not missing([Path(*module.split(".")).with_suffix(".py") for module in modules])
    assert set(re.findall(r"(?:^|[^`\w]`)ropelab ([a-z_]+) [-\"\w]*[-./\"]", text, re.MULTILINE)) <= set(COMMANDS)
    assert not missing([Path(path) for path in re.findall(r"\b(configs/[\w/]+\.py)\b", text)])
    assert not missing(
        [Path(path) for path in re.findall(r"`((?:ropelab|tests|tools|experiments|constraints)/[\w./]+)`", text)]
    )


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_targets_of_make_that_are_named_are_there(page: Path):
    there = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`| {4})make ([a-z][\w-]+)", page.read_text(), re.MULTILINE)) <= there


def test_every_page_is_reached_from_the_readme():
    reached, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page not in reached and page.suffix == ".md" and page.exists():
            reached.add(page)
            left += [(page.parent / t.partition("#")[0]).resolve() for t in links(page.read_text()) if "://" not in t]
    assert set(PAGES) <= reached


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 175


def test_every_picture_is_shown():
    shown = {(page.parent / target).resolve() for page in PAGES for target in links(page.read_text())}
    assert {path.resolve() for path in (ROOT / "docs").rglob("*.png")} <= shown
