"""The encodings as a page: equation, source and fields as each one's own file states them, and its picture."""

import inspect
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

LONGEST = 120  # letters of a spec that is shown whole
EQUATION, PROSE = "equation", "prose"
SHARED = "#fields-of-every-rotary-encoding"


class Field(NamedTuple):
    """One field of an encoding: its type in words, its default as it is written or "", and what it says, or ""."""

    name: str
    kind: str
    default: str
    says: str


class Class(NamedTuple):
    """One encoding of a file: its name, what its docstring says first, its own fields."""

    name: str
    says: str
    fields: Sequence[Field]


class Entry(NamedTuple):
    """One file of the catalogue.

    Attributes:
        file: its name.
        docstring: of the module: a sentence, equations in indented blocks, the source.
        classes: the encodings in it.
        rotary: whether they have the fields of every rotary encoding besides.
        drawn: the specs of its curves, by their titles.
    """

    file: str
    docstring: str
    classes: Sequence[Class]
    rotary: bool
    drawn: Mapping[str, str]


class Family(NamedTuple):
    """Files that stand together, under one heading and in one picture."""

    title: str
    picture: str
    entries: list[Entry]


def page(families: Sequence[Family], shared: Sequence[Field], *, introduction: str, shown: str) -> str:
    """The whole page in Markdown.

    Args:
        shared: the fields of every rotary encoding.
        introduction: what stands before everything, a heading first.
        shown: what the pictures show.
    """
    lines = [introduction.strip(), "", *contents(families), "", "## What the pictures show", "", shown.strip(), ""]
    lines += ["## Fields of every rotary encoding", "", *bullets(shared), ""]
    for family in families:
        lines += [f"## {family.title}", "", f"![{alternative(family)}]({family.picture})", ""]
        for entry in family.entries:
            lines += section(entry)
    return "\n".join(lines).rstrip() + "\n"


def contents(families: Sequence[Family]) -> list[str]:
    """A table of families and the encodings in them."""
    lines = ["| | |", "|---|---|"]
    for family in families:
        links = (f"[{one.name}](#{anchor(entry)})" for entry in family.entries for one in entry.classes)
        lines.append(f"| {family.title} | {', '.join(links)} |")
    return lines


def section(entry: Entry) -> list[str]:
    """One file: what its docstring says, then each class."""
    lines = [f"### {heading(entry)}", "", *marked_down(entry.docstring), ""]
    for one in entry.classes:
        also = f" Besides, the [fields of every rotary encoding]({SHARED})." if entry.rotary else ""
        lines += [f"`{one.name}`: {one.says}{also}", ""]
        lines += [*bullets(one.fields), ""] if one.fields else []
    drawn = ", ".join(f"`{short(spec)}`" for spec in entry.drawn.values())
    return [*lines, f"Drawn: {drawn}. Code: [{entry.file}](../ropelab/encodings/{entry.file}).", ""]


def heading(entry: Entry) -> str:
    return ", ".join(one.name for one in entry.classes)


def anchor(entry: Entry) -> str:
    """Where GitHub puts the section."""
    return re.sub(r"[^\w\- ]", "", heading(entry).lower()).replace(" ", "-")


def alternative(family: Family) -> str:
    """The picture in words."""
    names = ", ".join(heading(entry) for entry in family.entries)
    return f"Score against distance, and wavelengths where something rotates: {names}"


def bullets(fields: Sequence[Field]) -> list[str]:
    """A line for each field, or for several of which the same is said."""
    lines = []
    for says, group in itertools.groupby(fields, key=lambda field: field.says or field.name):
        written = [f"`{f.name}: {f.kind}{f' = {f.default}' if f.default else ''}`" for f in group]
        lines.append(f"- {', '.join(written)}" + (f": {says}" if says not in {f.name for f in fields} else ""))
    return lines


def marked_down(docstring: str) -> list[str]:
    """A docstring as Markdown: indented lines stay as they are, the lines of a paragraph are joined and linked."""
    found: list[str] = []
    for kind, lines in itertools.groupby(inspect.cleandoc(docstring).splitlines(), kind_of):
        if kind == EQUATION:
            found += ["", *lines]
        elif kind == PROSE:
            found += ["", linked(" ".join(lines))]
    return found[1:]


def kind_of(line: str) -> str:
    return EQUATION if line.startswith(" ") else PROSE if line else ""


def linked(text: str) -> str:
    """With links to what it cites."""
    text = re.sub(r"arXiv (\d{4}\.\d{5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"kexue\.fm/archives/(\d+)", r"[kexue.fm/archives/\1](https://kexue.fm/archives/\1)", text)


def short(spec: str) -> str:
    return spec if len(spec) <= LONGEST else spec[: LONGEST - 3] + "..."
