"""Style of every figure: options, one colour and marker per variant, and rendering as PNG, PDF or SVG."""

import contextlib
import dataclasses
import io
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ropelab.reporting.page import Chart, uncoded

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

FORMATS = ("png", "pdf", "svg")
NATURAL_WIDTH = 8.0  # inches
INK, QUIET, RULE = "#22262b", "#666b73", "#dddfe2"
PAPER = "#fffffe"  # inside of a hollow marker; a page replaces it by its own background
GREY = "#7b7f86"
COLOURS = (INK, "#0072b2", "#d55e00", "#00875f", "#b8588f", "#a87400", "#3592cc", GREY)  # Okabe and Ito, darkened
MARKERS = "osD^vPX"  # seven for eight colours, so that 56 variants differ in colour or marker
SEQUENTIAL = "cividis"  # perceptually uniform, also for colour-blind readers and in grey
DASHES = (0, (4, 2))
NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
GENERIC_FONTS = frozenset(("serif", "sans-serif", "monospace"))
PREFERRED = {  # method → index of its colour, so that reports agree where they can
    "unchanged": 0, "base": 0, "rope": 0, "pi": 1, "ntk": 2, "dynamicntk": 3, "yarn": 4, "alibi": 5, "xpos": 6,
    "nope": 7, "sinusoidal": 2, "sin": 2, "dynamicpi": 6, "dynamicyarn": 5, "ntkbyparts": 5, "fire": 3, "kerple": 4,
}  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class FigureOptions:
    """Options of every figure, written and parsed as `FigureOptions(width=3.3, title=False)`.

    Attributes:
        width: of the figure, in inches; the natural width of each figure if None.
        font: a font family that is installed, or serif, sans-serif or monospace; matplotlib's default if empty.
        font_size: of axis labels, in points; titles and notes scale with it.
        labels: new names of variants, as `label = name; label = name`.
        title: whether to draw the title.
        footnote: whether to draw the protocol under the figure.

    Raises:
        ValueError: for a value that cannot be drawn, naming the field.
    """

    width: float | None = None
    font: str = ""
    font_size: float = 9.0
    labels: str = ""
    title: bool = True
    footnote: bool = True

    def __post_init__(self) -> None:
        for name, low, high in (("width", 1.0, 40.0), ("font_size", 3.0, 40.0)):
            value = getattr(self, name)
            if name == "width" and value is None:
                continue
            if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"FigureOptions: {name}={value!r} is not allowed; use a number from {low} to {high}")
        for name in ("title", "footnote"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"FigureOptions: {name}={getattr(self, name)!r} is not allowed; use True or False")
        for name in ("font", "labels"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"FigureOptions: {name}={getattr(self, name)!r} is not allowed; use a text")
        _ = self.new_names

    @property
    def new_names(self) -> dict[str, str]:
        """The label of each renamed variant, by its name without backticks."""
        renamed = {}
        for entry in filter(str.strip, self.labels.split(";")):
            label, equals, name = (part.strip() for part in entry.partition("="))
            if not (label and equals and name):
                raise ValueError(f"FigureOptions: labels={self.labels!r} is not allowed; write label = name; ...")
            renamed[uncoded(name)] = label
        return renamed

    def label(self, name: str) -> str:
        """A variant's name as it is drawn."""
        return plain_text(self.new_names.get(uncoded(name), name))

    def with_width(self, natural: float) -> "FigureOptions":
        """These options with a width: their own, or the natural one."""
        return dataclasses.replace(self, width=natural) if self.width is None else self

    @property
    def inches(self) -> float:
        """The width of the figure."""
        return NATURAL_WIDTH if self.width is None else self.width

    def columns(self, scale: float = 1.0, width: float | None = None) -> int:
        """Characters that fit on a line of `width` inches (of the figure if None) at `scale` times the font size."""
        return max(int((width or self.inches) * 72 / (0.56 * scale * self.font_size)), 8)

    def wrap(self, text: str, scale: float = 1.0, width: float | None = None, max_lines: int | None = None) -> str:
        """Text broken into lines that fit; what is beyond `max_lines` becomes an ellipsis."""
        columns = self.columns(scale, width)
        return "\n".join(textwrap.wrap(plain_text(text), columns, max_lines=max_lines, placeholder=" …"))

    def line_height(self, scale: float = 1.0) -> float:
        """Inches per line of text."""
        return 1.35 * scale * self.font_size / 72


class LineStyle(NamedTuple):
    """Look of one variant's line: solid with filled markers, or dashed with hollow ones."""

    colour: str
    marker: str
    dashed: bool = False

    def keywords(self, **more: Any) -> dict[str, Any]:
        """Keyword arguments of `Axes.plot`."""
        line: dict[str, Any] = {"color": self.colour, "marker": self.marker}
        return line | ({"linestyle": DASHES, "markerfacecolor": PAPER} if self.dashed else {}) | more


Styles = Mapping[str, LineStyle]


def plain_text(text: str) -> str:
    """Text as it is drawn: without backticks, and without what XML does not allow."""
    return NOT_XML.sub("\ufffd", uncoded(text))


def assign_styles(names: Iterable[str], dashed: Mapping[str, str] | None = None) -> dict[str, LineStyle]:
    """A colour and a marker for each variant, none twice.

    Known methods get their usual colour, all others the first that is free, in the order of their names' appearance.

    Args:
        dashed: variant → the variant whose colour and marker it shares, drawn dashed and hollow.
    """
    dashed = dict(dashed or {})
    ordered = list(dict.fromkeys(uncoded(name) for name in names))
    shared = {uncoded(name): uncoded(base) for name, base in dashed.items()}
    own = [name for name in ordered if name not in shared or shared[name] not in ordered]
    indices: dict[str, int] = {}
    for name in sorted(own, key=lambda name: _method(name) not in ("unchanged", "base")):
        index = COLOURS.index(GREY) if is_chopped(name) else PREFERRED.get(_method(name), -1)
        if index >= 0 and index not in indices.values():
            indices[name] = index
    order = [*range(1, len(COLOURS)), *(n for n in range(len(COLOURS) * len(MARKERS)) if n == 0 or n >= len(COLOURS))]
    for name in own:
        if name not in indices:
            free = (n for n in order if n not in indices.values())
            indices[name] = next(free, len(indices) % len(order))
    styles = {}
    for name in ordered:
        index = indices[name] if name in indices else indices[_base_of(name, shared)]
        is_dashed = name in shared or is_chopped(name)
        styles[name] = LineStyle(COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)], is_dashed)
    return styles


def _base_of(name: str, shared: Mapping[str, str]) -> str:
    """The variant at the end of a chain of shared styles."""
    seen = {name}
    while (base := shared.get(name)) is not None and base not in seen:
        name = base
        seen.add(name)
    return name


def _method(name: str) -> str:
    """The leading word of a variant's name, in small letters."""
    match = re.match(r"[A-Za-z]+", name)
    return match[0].lower() if match else ""


def styles_of(charts: Iterable[Chart]) -> dict[str, LineStyle]:
    """The styles of all lines of several charts; a dashed line shares those of the line before it."""
    names: list[str] = []
    dashed: dict[str, str] = {}
    for chart in charts:
        before = ""
        for line in chart.series:
            if line.dashed and before and uncoded(line.name) not in names:
                dashed[uncoded(line.name)] = before
            before = uncoded(line.name)
            names.append(before)
    return assign_styles(names, dashed)


@contextlib.contextmanager
def figure_style(options: FigureOptions) -> Iterator[None]:
    """matplotlib's settings for all figures, within a `with` block.

    Raises:
        ValueError: for a font that is not installed.
    """
    import matplotlib
    from matplotlib import font_manager

    if options.font and options.font not in GENERIC_FONTS | set(font_manager.get_font_names()):
        raise ValueError(
            f"FigureOptions: font={options.font!r} is not installed; use {', '.join(sorted(GENERIC_FONTS))} or a "
            "family that matplotlib.font_manager.get_font_names() lists"
        )
    size = options.font_size
    settings: Any = {
        "font.family": [options.font or "sans-serif"],
        "font.size": size,
        "axes.labelsize": size,
        "axes.titlesize": 1.1 * size,
        "axes.titlelocation": "left",
        "figure.titlesize": 1.2 * size,
        "legend.fontsize": 0.95 * size,
        "xtick.labelsize": 0.9 * size,
        "ytick.labelsize": 0.9 * size,
        "legend.frameon": False,
        "legend.handlelength": 2.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": RULE,
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.4,
        "lines.markersize": 4.0,
        "text.parse_math": False,  # a dollar sign in the name of a file is a dollar sign
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
        **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), QUIET),
    }
    with matplotlib.rc_context(settings):
        yield


def new_figure(height: float, options: FigureOptions, title: str = "", note: str = "") -> tuple["Figure", "SubFigure"]:
    """A figure whose body is `height` inches tall, with a title above and a note below if the options ask for them.

    Returns:
        The figure, and its body, to draw into.
    """
    from matplotlib.figure import Figure

    above = options.wrap(title, 1.2) if options.title else ""
    below = options.wrap(note, 0.75) if options.footnote else ""
    height += options.line_height(1.2) * len(above.splitlines())
    foot = options.line_height(0.75) * len(below.splitlines()) + 0.08 if below else 0.0
    figure = Figure(figsize=(options.inches, height + foot), layout="constrained")
    rows = (height, foot) if below else (height,)
    parts: Any = figure.subfigures(len(rows), 1, height_ratios=rows, squeeze=False)
    body = parts[0, 0]
    if above:
        body.suptitle(above, x=0.01, ha="left")
    if below:
        parts[1, 0].text(0.01, 0.98, below, fontsize=0.75 * options.font_size, va="top", color=QUIET, linespacing=1.2)
    return figure, body


def add_legend(body: "SubFigure", options: FigureOptions, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """A legend under the axes, in two columns where there is room."""
    if handles:
        columns = legend_columns(options, len(labels))
        wrapped = [wrap_legend(label, options, columns) for label in labels]
        legend: Any = body.legend(handles, wrapped, loc="outside lower left", ncols=columns)
        legend.set_in_layout(True)


def legend_columns(options: FigureOptions, count: int) -> int:
    return 2 if count > 1 and options.columns(0.95) > 80 else 1


def wrap_legend(label: str, options: FigureOptions, columns: int) -> str:
    return options.wrap(label, 0.95, options.inches / columns - 0.05 * options.font_size - 0.2, max_lines=3)


def legend_height(options: FigureOptions, labels: Sequence[str]) -> float:
    """Inches that `add_legend` needs."""
    columns = legend_columns(options, len(labels))
    deepest = max((wrap_legend(label, options, columns).count("\n") + 1 for label in labels), default=0)
    return options.line_height(1.05) * deepest * -(-len(labels) // columns) + (0.1 if labels else 0)


def render(figure: "Figure", format: str, *, transparent: bool = False) -> bytes:
    """The figure as "png", "pdf" or "svg"; equal figures give equal files."""
    import matplotlib

    # a date would make every PDF and SVG another file
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None, "Creator": None}}.get(format)
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "ropelab", "pdf.fonttype": 42}
    buffer = io.BytesIO()
    with matplotlib.rc_context(settings):
        figure.savefig(buffer, format=format, dpi=150, metadata=metadata, transparent=transparent)
    return buffer.getvalue()


def is_chopped(variant: str) -> bool:
    """Return whether a variant is the unchanged model on chopped text."""
    return variant.startswith("unchanged, chopped at")
