"""A page as one HTML file that needs nothing else: no network, no other file, and no script to be read."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ropelab.reporting import svg
from ropelab.reporting.chart_lines import FEW, grid, styles
from ropelab.reporting.heat_shades import classes, shade
from ropelab.reporting.numbers import number
from ropelab.reporting.page import Cell, Chart, Facts, Heat, Page, Part, Table, counted, interval, uncoded
from ropelab.reporting.page_markdown import SYMBOLS
from ropelab.reporting.page_outline import outline

TEMPLATES = Path(__file__).with_name("templates")
TONES = {  # classes of their colours
    "reproduced": "yes",
    "direction only": "open",
    "not reproduced": "no",
    "not testable at this size": "open",
}
DIGITS = 6  # significant, of the values that a pointer reads off a chart


def html(page: Page, files: Mapping[str, Sequence[str]] | None = None) -> str:
    """The page.

    Args:
        files: name of a part in the outline of the page → paths of the same part as other files, relative to the page,
            which links to them.
    """
    style, script = read("report.css") + classes(), read("report.js")
    named = outline(page)
    template = environment().get_template("report.html.j2")
    return template.render(
        page=page,
        outline=named,
        verdicts=[verdict for section in page.sections for verdict in section.verdicts],
        files=files or {},
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
    )


def read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def policy(style: str, script: str) -> str:
    """What the browser may load and run: this style and this script, by their hashes, and nothing else."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    rules = "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
    return rules.format(*hashes)


def environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "coded": coded,
        "uncoded": uncoded,
        "kind": kind,
        "suffix": lambda path: PurePosixPath(path).suffix[1:].upper(),
    }
    found.globals |= {
        "counted": counted,
        "interval": interval,
        "number": number,
        "symbols": SYMBOLS,
        "tones": TONES,
        "draw": drawn,
        "numeric": numeric,
        "banded": banded,
        "records": records,
        "sorted_by": sorted_by,
        "shade": shade,
        "value": svg.value,
    }
    return found


def kind(part: Part) -> str:
    return {Table: "table", Chart: "chart", Heat: "heat", Facts: "facts"}[type(part)]


def coded(text: str) -> Markup:
    """Text with what stands between backticks as code."""
    pieces = re.split(r"`([^`]+)`", text)
    return Markup("").join(code(piece) if index % 2 else breakable(piece) for index, piece in enumerate(pieces))


def code(text: str) -> Markup:
    """Code, each flag of a command kept on one line where there is room."""
    flag = Markup('<span class="flag">{}</span>')
    words = (flag.format(breakable(word)) if word[:1] == "-" else breakable(word) for word in re.split(r"(\s+)", text))
    return Markup("<code>{}</code>").format(Markup("").join(words))


def breakable(text: str) -> Markup:
    """With places to break a line at, after the bracket of a call or a slash, before it is broken anywhere else."""
    return Markup("<wbr>").join(re.split(r"(?<=\w\()(?!$)|(?<=/)(?!$)", text))


def numeric(table: Table, column: int) -> bool:
    """Whether a column holds numbers, and is aligned and sorted as such."""
    return column > 0 and any(row[column].value is not None for row in table.rows)


def banded(table: Table, column: int) -> bool:
    """Whether an interval is printed after a number of a column; all its cells leave room for it then."""
    return any(interval(row[column]) for row in table.rows)


def sorted_by(value: float) -> str:
    """A number as the script of the page reads it; what is nan is sorted with what is missing."""
    return repr(float(value)).replace("inf", "Infinity")


def records(table: Table) -> list[tuple[str, str, Cell]]:
    """Every number of a table by row and column."""
    return [
        (row[0].text, column, cell)
        for row in table.rows
        for column, cell in zip(table.head[1:], row[1:], strict=True)
        if cell.value is not None
    ]


def drawn(part: Chart, name: str) -> dict[str, Any]:
    """What the template shows of a chart: two drawings, a legend, the values for the pointer and as a table."""
    values = grid(part)
    columns = [[None if p is None else rounded(p.y) for p in column] for column in values.columns]
    return {
        "wide": Markup(svg.svg(part, name=f"{name}-wide", size=svg.WIDE)),
        "narrow": Markup(svg.svg(part, name=f"{name}-narrow", size=svg.NARROW)),
        "legend": [
            (line.name, Markup(svg.swatch(style))) for line, style in zip(part.series, styles(part.series), strict=True)
        ],
        "values": in_script({"x": values.xs, "y": columns}),
        "grid": values.thinned(FEW),
        "thinned": len(values.xs) > FEW,
    }


def rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def in_script(value: Any) -> Markup:
    """As JSON that cannot end the element it stands in."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))
