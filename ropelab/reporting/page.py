"""What a report says, apart from how it looks: verdicts, tables, charts, heat maps, facts, as plain values.

A page is made from records and drawn several times: as Markdown, as one HTML file, its charts as PNG and PDF, its data
as CSV and Parquet. Every number carries the records that it was made of, as `folder/evaluations.jsonl:7` (file and
line, from 1, relative to the folder that the report is of). In every text, what stands between backticks is code.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from ropelab.reporting.numbers import number

Word = Literal["reproduced", "direction only", "not reproduced", "not testable at this size"]
WORDS: tuple[Word, ...] = ("reproduced", "direction only", "not reproduced", "not testable at this size")


class Verdict(NamedTuple):
    """What became of one claim of a paper.

    Attributes:
        claim: as a sentence.
        word: what became of it.
        seeds: `(those in which it holds, those asked)`.
        margin: by how much, with its interval, as text; empty where there is none.
        why: of what is not testable, the reason.
    """

    claim: str
    word: Word
    seeds: tuple[int, int] = (0, 0)
    margin: str = ""
    why: str = ""


class Cell(NamedTuple):
    """One cell of a table: what is printed, the number behind it, and where that comes from.

    Attributes:
        text: without its interval, which is printed after it.
        half: of the 95 % interval; None where there is none.
        best: whether it is the best of its column.
        sources: records that it was made of, empty for text and for numbers of a paper.
    """

    text: str
    value: float | None = None
    half: float | None = None
    best: bool = False
    sources: Sequence[str] = ()


class Table(NamedTuple):
    """A table: the first column names the row. `note` stands under it: protocol, units, whose other numbers are."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


class Point(NamedTuple):
    """A point of a line, with the band around it where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


class Series(NamedTuple):
    """A line; a dashed one has the colour of the line before it."""

    name: str
    points: Sequence[Point]
    dashed: bool = False


class Chart(NamedTuple):
    """Lines over x. `marks` are vertical lines: `(x, what it is)`; nothing beyond `y_limits` is drawn."""

    title: str
    x: str
    y: str
    series: Sequence[Series]
    log_x: bool = False
    log_y: bool = False
    marks: Sequence[tuple[float, str]] = ()
    note: str = ""
    y_limits: tuple[float, float] | None = None


class Heat(NamedTuple):
    """Values in [0, 1] by row and column, such as the share answered by depth and length; None where none is.

    `sources` are the records of each value, by row and column; empty where none are named.
    """

    title: str
    row_label: str
    column_label: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    note: str = ""
    sources: Sequence[Sequence[Sequence[str]]] = ()


class Facts(NamedTuple):
    """Things to know, a pair each: protocol, environment, what differs between arms, how to make a number again."""

    title: str
    pairs: Sequence[tuple[str, str]]


Part = Table | Chart | Heat | Facts


class Section(NamedTuple):
    """One thing that was asked, and all that answers it, the verdicts first.

    Attributes:
        lead: the answer in a sentence or two.
    """

    title: str
    asked: str
    verdicts: Sequence[Verdict] = ()
    parts: Sequence[Part] = ()
    lead: str = ""


class Page(NamedTuple):
    """A report.

    Attributes:
        facts: of the whole: environment, commands.
    """

    title: str
    sections: Sequence[Section]
    facts: Sequence[Facts] = ()


def interval(cell: Cell) -> str:
    """What is printed after the number of a cell, with as many decimals as it has: "± 0.012"; empty without one.

    A text that has its interval in it already gets no other.
    """
    if cell.half is None or "±" in cell.text:
        return ""
    decimals = len(cell.text.partition(".")[2])
    fits = round(cell.half, decimals) > 0 and cell.text[-1:].isdigit() and "e" not in cell.text
    return f"± {cell.half:.{decimals}f}" if fits else f"± {number(cell.half, 2)}"


def counted(verdicts: Sequence[Verdict]) -> str:
    """All verdicts in one line: "5 of 8 claims reproduced, 1 direction only, 1 not reproduced, 1 not testable ..."."""
    words = [verdict.word for verdict in verdicts]
    parts = [f"{words.count('reproduced')} of {len(words)} claims reproduced"]
    for word in WORDS[1:]:
        if words.count(word):
            parts.append(f"{words.count(word)} {word}")
    return ", ".join(parts)


def code(text: str) -> str:
    """A spec or a command as code; a plain name as it is."""
    return f"`{text}`" if "(" in text or " -" in text else text


def uncoded(text: str) -> str:
    """A text without the backticks of its code, for where all letters look the same."""
    return text.replace("`", "")
