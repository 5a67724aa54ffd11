"""Flags of the commands that write figures: one spec of options, or one flag per option."""

import dataclasses
from typing import Any

from absl import flags

from ropelab import spec
from ropelab.reporting.charts.style import FigureOptions

HELP = {
    "figures": "Options of all figures as one spec, such as FigureOptions(width=3.3, title=False); the flags below "
    "override its fields.",
    "width": "Width of the figures in inches; the natural width of each if not given.",
    "font": "Font family, installed on this machine, or serif, sans-serif or monospace.",
    "font_size": "Size of the axis labels in points.",
    "labels": "New names of variants in the figures: label = name; label = name.",
    "title": "Whether figures have their title; a paper wants none.",
    "footnote": "Whether figures have the protocol under them; a paper wants none.",
}


def define_figure_flags(values: flags.FlagValues) -> None:
    """Define --figures and a flag --figure_<field> per field of `FigureOptions`."""
    flags.DEFINE_string("figures", None, HELP["figures"], flag_values=values)
    for field in dataclasses.fields(FigureOptions):
        define: Any = {"title": flags.DEFINE_bool, "footnote": flags.DEFINE_bool, "width": flags.DEFINE_float}.get(
            field.name, flags.DEFINE_float if field.name == "font_size" else flags.DEFINE_string
        )
        define(f"figure_{field.name}", None, HELP[field.name], flag_values=values)


def figure_options(values: flags.FlagValues) -> FigureOptions:
    """The options that the flags ask for.

    Raises:
        ValueError: for a spec or a value that is not allowed.
    """
    options = FigureOptions()
    if values.figures:
        options = spec.parse(values.figures, {"FigureOptions": FigureOptions}, "options of figures")
    given = {field.name: values[f"figure_{field.name}"].value for field in dataclasses.fields(FigureOptions)}
    return dataclasses.replace(options, **{name: value for name, value in given.items() if value is not None})
