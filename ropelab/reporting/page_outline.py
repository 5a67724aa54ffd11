"""The parts of a page by name: one name for the anchor, the figure and the data of each."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from ropelab.reporting.page import Facts, Page, Part, Section

LONGEST = 60  # characters made of one title


class Placed(NamedTuple):
    """A section with its name, and its parts with theirs."""

    slug: str
    section: Section
    parts: Sequence[tuple[str, Part]]


class Outline(NamedTuple):
    """A page with names."""

    sections: Sequence[Placed]
    facts: Sequence[tuple[str, Facts]]

    def parts(self) -> list[tuple[str, Part]]:
        """All parts but the facts of the whole page, in order."""
        return [named for placed in self.sections for named in placed.parts]


def outline(page: Page) -> Outline:
    """Names made of the titles, small letters, digits and hyphens; equal ones are numbered from the second on.

    A name changes only with its title, or with an equal title before it.
    """
    taken: set[str] = set()
    sections = []
    for section in page.sections:
        name = unique(slug(section.title), taken)
        parts = [(unique(f"{name}-{slug(part.title)}", taken), part) for part in section.parts]
        sections.append(Placed(name, section, parts))
    return Outline(sections, [(unique(f"page-{slug(facts.title)}", taken), facts) for facts in page.facts])


def slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST].strip("-") or "part"


def unique(name: str, taken: set[str]) -> str:
    """The name, or with the first number that makes it new; it counts as taken from then on."""
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}-{count}"
    taken.add(found)
    return found
