"""A page as Markdown of GitHub's kind: verdicts first, tables with the best in bold, figures as images."""

import math
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from ropelab.reporting.page import Cell, Chart, Facts, Heat, Page, Part, Table, Verdict, counted, interval
from ropelab.reporting.page_outline import Placed, outline
from ropelab.reporting.tables import markdown_grid as table_of

SYMBOLS = {"reproduced": "✓", "direction only": "○", "not reproduced": "✗", "not testable at this size": "–"}


def markdown(page: Page, figures: Mapping[str, str]) -> str:
    """The page, ending in a newline.

    Args:
        figures: name of a chart or heat map in the outline of the page → path of its image, relative to the file this
            is written to. A chart without one is left to its note, a heat map is a table then.
    """
    named = outline(page)
    blocks = [f"# {prose(page.title)}"]
    verdicts = [verdict for section in page.sections for verdict in section.verdicts]
    if verdicts and len(page.sections) > 1:
        blocks.append(f"**{counted(verdicts)}.**")
    for placed in named.sections:
        blocks += section(placed, figures)
    for _, facts in named.facts:
        blocks += [f"## {prose(facts.title)}", fact_table(facts)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def section(placed: Placed, figures: Mapping[str, str]) -> list[str]:
    said = placed.section
    blocks = [f"## {prose(said.title)}"]
    if said.verdicts:
        blocks += [f"**{counted(said.verdicts)}.**", verdict_table(said.verdicts)]
    blocks.append(prose(said.lead))
    blocks.append(f"*Question:* {prose(said.asked)}" if said.asked else "")
    for name, part in placed.parts:
        blocks += [f"### {prose(part.title)}", *body(part, figures.get(name))]
    return blocks


def body(part: Part, image: str | None) -> list[str]:
    if isinstance(part, Facts):
        return [fact_table(part)]
    if isinstance(part, Table):
        return [grid(part.head, [[bold(cell) for cell in row] for row in part.rows]), prose(part.note)]
    if image is not None:
        return [f"![{prose(part.title)}]({quote(image)})", prose(part.note)]
    return [prose(part.note)] if isinstance(part, Chart) else [heat_table(part), prose(part.note)]


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    lines = ["| claim | verdict | seeds | margin |", "|---|---|---:|---|"]
    for verdict in verdicts:
        word = f"{SYMBOLS[verdict.word]} {verdict.word}" + (f": {verdict.why}" if verdict.why else "")
        seeds = "{} of {}".format(*verdict.seeds) if verdict.seeds[1] else ""
        lines.append("| " + " | ".join(inline(text) for text in (verdict.claim, word, seeds, verdict.margin)) + " |")
    return "\n".join(lines)


def heat_table(heat: Heat) -> str:
    head = [f"{heat.row_label} \\ {heat.column_label}", *heat.columns]
    rows = [
        [inline(name), *("" if value is None or math.isnan(value) else f"{value:.2f}" for value in values)]
        for name, values in zip(heat.rows, heat.values, strict=True)
    ]
    return grid(head, rows)


def fact_table(facts: Facts) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {inline(name)} | {inline(what)} |" for name, what in facts.pairs)])


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return table_of([inline(name) for name in head], [list(row) for row in rows])


def bold(cell: Cell) -> str:
    """A cell as it is printed, the best in bold, with its interval."""
    shown = f"**{inline(cell.text)}**" if cell.best and cell.text else inline(cell.text)
    return f"{shown} {interval(cell)}".strip()


def inline(text: str) -> str:
    """Text for a cell of a table, where a bar would end it and a line break the row."""
    return spans(text.strip()).replace("|", "\\|").replace("\n", "<br>")


def prose(text: str) -> str:
    """Text for a paragraph, whose lines no first character makes a heading, a list, a quotation or a rule."""
    return "\n".join(line(text) for text in spans(text.strip()).splitlines())


def line(text: str) -> str:
    text = re.sub(r"^(\d+)(?=[.)](\s|$))", r"\1\\", text.lstrip())
    return re.sub(r"^(?=[#>+=-]|\|)", r"\\", text)


def spans(text: str) -> str:
    """Text as it is read: nothing in it is taken for Markdown or HTML, but code between backticks."""
    pieces = re.split(r"(`[^`\n]+`)", text)
    return "".join(piece if index % 2 else plain(piece) for index, piece in enumerate(pieces))


def plain(text: str) -> str:
    text = re.sub(r"([\\*`~]|\](?=[(\[:])|(?<!\w)_|_(?!\w))", r"\\\1", text)
    return re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;")
