"""A page as one HTML file that needs nothing else: no network, no other file, and no script to be read."""

import base64
import dataclasses
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ropelab.reporting.charts.heat_maps import draw_heat
from ropelab.reporting.charts.inline import inline_svg
from ropelab.reporting.charts.lines import draw_chart, split_runs
from ropelab.reporting.charts.style import COLOURS, FigureOptions, Styles, styles_of
from ropelab.reporting.numbers import number
from ropelab.reporting.page import Cell, Chart, Facts, Heat, Page, Part, Point, Table, counted, interval, uncoded
from ropelab.reporting.page_markdown import SYMBOLS
from ropelab.reporting.page_outline import outline

TEMPLATES = Path(__file__).with_name("templates")
TONES = {  # classes of their colours
    "reproduced": "yes",
    "direction only": "open",
    "not reproduced": "no",
    "not testable at this size": "open",
}
WIDE = FigureOptions(width=7.6, font_size=8.5, title=False, footnote=False)  # the page has both as text
NARROW = dataclasses.replace(WIDE, width=3.5, font_size=8.5)
DARK = ("currentColor", "#4a9be8", "#ff8c42", "#35c99b", "#e9a3cb", "#f0bb45", "#a5deff", "#9aa0a9")  # as COLOURS
ROWS = 40  # of the table under a chart; the CSV has all points


def html(page: Page, files: Mapping[str, Sequence[str]] | None = None, options: FigureOptions | None = None) -> str:
    """Render the page.

    Args:
        files: name of a part in the outline of the page → paths of the same part as other files, relative to the page,
            which links to them.
        options: of the figures, of which a page uses the labels.
    """
    style, script = read("report.css") + variables(), read("report.js")
    named = outline(page)
    styles = styles_of(part for _, part in named.parts() if isinstance(part, Chart))
    labels = (options or FigureOptions()).labels
    found = environment()
    found.globals["draw"] = lambda part, name: draw(part, name, styles, labels)
    template = found.get_template("report.html.j2")
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


def variables() -> str:
    """The colours of lines as CSS variables, in light and dark."""
    pairs = zip(COLOURS[1:], DARK[1:], strict=True)
    return ".plot{" + "".join(f"--c{n}:light-dark({light},{dark});" for n, (light, dark) in enumerate(pairs, 1)) + "}\n"


def policy(style: str, script: str) -> str:
    """The content security policy: this style and this script, by their hashes, images in the page, nothing else."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    rules = "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; "
    return rules.format(*hashes) + "base-uri 'none'; form-action 'none'"


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
        "numeric": numeric,
        "banded": banded,
        "records": records,
        "sorted_by": sorted_by,
    }
    return found


def kind(part: Part) -> str:
    return {Table: "table", Chart: "drawing", Heat: "drawing", Facts: "facts"}[type(part)]


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


Rows = Sequence[Sequence[tuple[str, Sequence[str]]]]


class Drawing(NamedTuple):
    """A figure of a page: two drawings of it, for wide and narrow screens, and its numbers as a table.

    Attributes:
        head: names of the columns.
        rows: text of each cell, with the records it was computed from, if they are known.
        num_rows: in all; `rows` may be every second, third, ... of them.
    """

    wide: Markup
    narrow: Markup
    head: Sequence[str]
    rows: Rows
    num_rows: int


def draw(part: Chart | Heat, name: str, styles: Styles, labels: str) -> Drawing:
    """Draw a chart or a heat map.

    Args:
        name: of the part in the outline, which begins the ids in the drawings.
        labels: of variants, as `FigureOptions` has them.
    """
    wide, narrow = (dataclasses.replace(size, labels=labels) for size in (WIDE, NARROW))
    label = describe_chart(part, wide) if isinstance(part, Chart) else describe_heat(part)
    head, rows = chart_table(part) if isinstance(part, Chart) else heat_table(part)
    stride = max(math.ceil(len(rows) / ROWS), 1) if isinstance(part, Chart) else 1

    def drawing(options: FigureOptions, suffix: str) -> Markup:
        figure = draw_chart(part, options, styles) if isinstance(part, Chart) else draw_heat(part, options)
        return Markup(inline_svg(figure, prefix=f"{name}-{suffix}", label=label))

    return Drawing(drawing(wide, "wide"), drawing(narrow, "narrow"), head, rows[::stride], len(rows))


def describe_chart(chart: Chart, options: FigureOptions) -> str:
    """A chart in words: its axes, and where each line begins and ends."""
    lines = [f"{uncoded(chart.title)}. {uncoded(chart.y)} against {uncoded(chart.x)}."]
    for line in chart.series:
        points = [point for run in split_runs(line, chart) for point in run]
        if points:
            first, last = points[0], points[-1]
            ends = f"{number(first.y)} at {number(first.x)} to {number(last.y)} at {number(last.x)}"
            lines.append(f"{options.label(line.name)}: from {ends}.")
    lines.extend(f"Marked: {uncoded(what)} at {number(x)}." for x, what in chart.marks)
    return " ".join(lines)


def describe_heat(heat: Heat) -> str:
    """A heat map in words: its axes and the range of its values."""
    values = [v for row in heat.values for v in row if v is not None and math.isfinite(v)]
    span = f", from {number(min(values))} to {number(max(values))}" if values else ""
    return f"{uncoded(heat.title)}. Values by {uncoded(heat.row_label)} and {uncoded(heat.column_label)}{span}."


def chart_table(chart: Chart) -> tuple[list[str], Rows]:
    """Head and rows of a chart's numbers: one row per x, one column per line."""
    xs = sorted({point.x for line in chart.series for point in line.points if math.isfinite(point.x)})
    by_x = [{point.x: point for point in line.points} for line in chart.series]
    rows = [[(number(x, 6), ()), *((point_text(points.get(x)), ()) for points in by_x)] for x in xs]
    return [chart.x, *(line.name for line in chart.series)], rows


def point_text(point: Point | None) -> str:
    """The value of a point, with its band."""
    if point is None:
        return ""
    band = "" if point.low is None or point.high is None else f" [{number(point.low)}, {number(point.high)}]"
    return number(point.y) + band


def heat_table(heat: Heat) -> tuple[list[str], Rows]:
    """Head and rows of a heat map's numbers."""
    head = [f"{heat.row_label} / {heat.column_label}", *heat.columns]
    none = [[()] * len(heat.columns)] * len(heat.rows)
    rows = []
    for name, values, sources in zip(heat.rows, heat.values, heat.sources or none, strict=True):
        texts = ("–" if value is None or math.isnan(value) else f"{value:.2f}" for value in values)
        rows.append([(name, ()), *zip(texts, sources, strict=True)])
    return head, rows
