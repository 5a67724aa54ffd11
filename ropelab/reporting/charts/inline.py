"""A figure as an `<svg>` element of an HTML page that follows the page's colours and has no styles of its own."""

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from ropelab.reporting.charts.style import COLOURS, INK, PAPER, QUIET, RULE, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HREF = "{http://www.w3.org/1999/xlink}href"
THEME = {colour: f"var(--c{n})" for n, colour in enumerate(COLOURS)} | {
    INK: "currentColor", QUIET: "var(--muted)", RULE: "var(--rule)", PAPER: "var(--paper)",
}  # fmt: skip
DROPPED = frozenset(("font-family", "font-style", "font-variant", "font-weight", "font-stretch", "stroke-dashoffset"))
NUMBER = re.compile(r"-?\d+\.\d+")


def inline_svg(figure: "Figure", *, prefix: str, label: str) -> str:
    """The figure as one element: transparent, with text as text in the page's font and colours as CSS variables.

    A strict content security policy applies no `style` attribute, so that all become presentation attributes.

    Args:
        prefix: of all ids in it; no two elements of a page may share one.
        label: the figure in words, for readers who do not see it.
    """
    root = ET.fromstring(render(figure, "svg", transparent=True))
    referenced = {value.partition("#")[2].rstrip(")") for value in _references(root)}
    names = {name: f"{prefix}-{n}" for n, name in enumerate(sorted(referenced))}
    attributes = {"viewBox": root.get("viewBox", ""), "role": "img", "aria-label": label}
    svg = ET.Element("svg", attributes | {"stroke-linejoin": "round"})
    for child in root:
        svg.extend(_converted(child, names))
    return ET.tostring(svg, encoding="unicode")


def _references(root: ET.Element) -> list[str]:
    """The values of attributes that refer to an id."""
    values = (value for element in root.iter() for name, value in element.items() if name in (HREF, "clip-path"))
    return [value for value in values if "#" in value]


def _converted(element: ET.Element, names: dict[str, str]) -> list[ET.Element]:
    """An element without namespaces, styles and needless ids and groups; nothing for metadata and style sheets."""
    tag = element.tag.rpartition("}")[2]
    if tag in ("metadata", "style"):
        return []
    attributes: dict[str, str] = {}
    for name, value in element.items():
        if name == "style":
            attributes |= presentation(value)
        elif name == "id":
            attributes |= {"id": names[value]} if value in names else {}
        elif name == HREF:
            attributes["href"] = f"#{names[value[1:]]}" if value.startswith("#") else value
        elif name == "clip-path":
            attributes[name] = f"url(#{names[value[5:-1]]})"
        elif name != "transform" or not re.fullmatch(r"rotate\(-?0 [^)]*\)", value):
            attributes[name] = _rounded(value) if name in ("d", "x", "y", "width", "height", "transform") else value
    children = [one for child in element for one in _converted(child, names)]
    if tag in ("g", "defs") and not children:
        return []
    if tag == "g" and not attributes:
        return children
    converted = ET.Element(tag, attributes)
    converted.text = element.text if tag == "text" else None
    converted.extend(children)
    return [converted]


def presentation(style: str) -> dict[str, str]:
    """The declarations of a `style` attribute as presentation attributes, in the colours of the page."""
    attributes: dict[str, str] = {}
    for declaration in style.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":  # older versions of matplotlib write the shorthand
            size = re.search(r"[\d.]+(?=px)", value)
            attributes |= {"font-size": size[0]} if size else {}
        elif name == "font-size":
            attributes[name] = value.removesuffix("px")
        elif name and name not in DROPPED:
            attributes[name] = THEME.get(value, value)
    return attributes


def _rounded(value: str) -> str:
    """Path data and coordinates to a hundredth of a point."""
    return " ".join(NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value).split())
