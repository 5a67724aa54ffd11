"""Shades of a heat map on a page: a class for each of a few levels, with letters that can be read on it."""

import math

from matplotlib import colormaps

from ropelab.reporting.charts.heat_maps import SHADES

LEVELS = 20
EVEN = math.sqrt(1.05 * 0.05) - 0.05  # luminance on which black and white are read equally well


def shade(value: float | None) -> str:
    """The class of a value in [0, 1]; values beyond have that of the end they are nearest to."""
    if value is None or not math.isfinite(value):
        return "none"
    return f"h{round(LEVELS * min(max(value, 0.0), 1.0))}"


def classes() -> str:
    """The rules of all classes, as CSS."""
    return "".join(f".h{level}{{background:{colour(level)};color:{ink(level)}}}\n" for level in range(LEVELS + 1))


def levels(level: int) -> tuple[float, float, float]:
    red, green, blue, _ = colormaps[SHADES](level / LEVELS)
    return float(red), float(green), float(blue)


def colour(level: int) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in levels(level))


def ink(level: int) -> str:
    """Black or white, whichever has the larger contrast: 4.58 at least."""
    return "#000" if luminance(levels(level)) > EVEN else "#fff"


def luminance(rgb: tuple[float, float, float]) -> float:
    """Relative luminance of sRGB, as WCAG 2 defines it."""
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
