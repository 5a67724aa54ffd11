"""The portrait shows every kind of head, every layer and every encoding at its place, with the protocol under it."""

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ropelab.reporting.charts.overview import MAX_HEADS, draw_overview, group_heads_alike, name_heads
from ropelab.reporting.charts.style import FigureOptions, assign_styles, render

COUNTS = np.tril(np.ones((4, 6, 6), int))
COUNTS[1::2, :, 0] = 3 * (COUNTS[1::2, :, 0] > 0)
REACH = np.where(np.tri(6, k=-1) > 0, 2, -1)
np.fill_diagonal(REACH, 0)
CURVES = {"near": np.linspace(2.0, 0.0, 50), "far": np.linspace(2.0, 1.0, 50)}
TURNS = {"near": np.asarray([6.0, 60.0, np.inf])}
PROTOCOL = "model tiny; text noise"
STYLES = assign_styles(CURVES)


def drawn(**changes: Any) -> Figure:
    given: dict[str, Any] = {
        "counts_NTT": COUNTS,
        "reach_TT": REACH,
        "layers": 2,
        "expected": CURVES,
        "measured": {},
        "wavelengths": TURNS,
        "title": "a pattern",
        "length": 32,
        "protocol": PROTOCOL,
    }
    return draw_overview(**(given | changes))


def titled(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title(loc) or axes.get_xlabel(): axes for axes in figure.axes for loc in ("left", "center")}


def test_heads_that_see_the_same_share_a_square() -> None:
    assert group_heads_alike(COUNTS) == [(0, 2), (1, 3)]
    axes = titled(drawn())
    for name, head in (("heads 0, 2", 0), ("heads 1, 3", 1)):
        (picture,) = axes[name].images
        np.testing.assert_array_equal(picture.get_array(), COUNTS[head])


def test_what_is_seen_more_often_is_darker() -> None:
    (picture,) = titled(drawn())["heads 1, 3"].images
    brightness = [sum(picture.to_rgba(np.asarray([n]))[0][:3]) for n in range(4)]
    assert brightness == sorted(brightness, reverse=True)
    assert len(set(brightness)) == 4
    assert brightness[0] == 3.0


@pytest.mark.parametrize(
    ("heads", "of", "said"),
    [((3,), 4, "head 3"), ((0, 1), 2, "all 2 heads"), (tuple(range(0, 14, 2)), 14, "heads 0, 2, 4, 6, 8, …")],
)
def test_heads_are_named(heads: tuple[int, ...], of: int, said: str) -> None:
    assert name_heads(heads, of) == said


def test_too_many_kinds_of_head_say_so() -> None:
    counts = np.stack([np.tril(np.full((6, 6), n)) for n in range(1, 10)])
    figure = drawn(counts_NTT=counts)
    assert sum(len(axes.images) for axes in figure.axes) == MAX_HEADS + 1
    assert any("6 of 9 kinds of head" in text for text in written(figure))


def written(figure: Figure) -> list[str]:
    """Every text of the subfigures, theirs and those of the subfigures in them."""
    found, parts = [], list(figure.subfigs)
    while parts:
        part = parts.pop()
        parts += part.subfigs
        found += [text.get_text() for text in part.texts]
        found += [text.get_text() for legend in part.legends for text in legend.get_texts()]
    return found


def titles(figure: Figure) -> list[str]:
    """The titles of the subfigures, those of the whole first."""
    return [part._suptitle.get_text() for part in figure.subfigs if getattr(part, "_suptitle", None)]


def test_each_layer_has_its_line_and_its_shade() -> None:
    figure = drawn()
    (growth,) = (axes for axes in figure.axes if axes.get_ylabel() == "tokens that can reach it")
    deepest, first = growth.get_lines()
    np.testing.assert_array_equal(np.asarray(first.get_ydata()), [1] * 6)
    np.testing.assert_array_equal(np.asarray(deepest.get_ydata()), [1, 2, 3, 4, 5, 6])
    assert {"itself", "1 layer", "2 layers", "once", "twice", "3 times"} <= set(written(figure))


def test_an_encoding_has_one_colour_everywhere() -> None:
    figure = drawn(measured={"far": CURVES["far"]})
    colours = {
        str(line.get_label()): line.get_color()
        for axes in figure.axes
        for line in axes.get_lines()
        if line.get_label() in CURVES
    }
    assert colours == {name: style.colour for name, style in STYLES.items()}
    (measured,) = titled(figure)["D  Measured score, mean of layers and heads"].get_lines()
    assert measured.get_color() == STYLES["far"].colour


def test_scores_stand_at_their_distance() -> None:
    axes = titled(drawn())["C  Expected score, q = k = 1"]
    line = next(line for line in axes.get_lines() if len(np.asarray(line.get_xdata())) == 50)
    np.testing.assert_array_equal(np.asarray(line.get_xdata()), np.arange(50))
    np.testing.assert_array_equal(np.asarray(line.get_ydata()), CURVES["near"])
    assert not axes.texts


def test_scores_without_any_weight_are_cut_off_and_this_is_said() -> None:
    axes = titled(drawn(expected={"deep": np.linspace(3.0, -100.0, 9)}))["C  Expected score, q = k = 1"]
    assert axes.get_ylim()[0] == -13.0
    assert [text.get_text() for text in axes.texts] == ["cut off 16 below the highest"]


def test_pairs_that_never_turn_are_hollow() -> None:
    axes = titled(drawn())["D  Wavelengths of the rotary pairs"]
    filled, hollow = (line for line in axes.get_lines() if line.get_linestyle() == "None")
    assert np.asarray(filled.get_xdata()).tolist() == [0]
    assert np.asarray(hollow.get_xdata()).tolist() == [1, 2]
    assert (filled.get_markerfacecolor(), hollow.get_markerfacecolor()) == (STYLES["near"].colour, "white")
    assert any("trained length 32" in text.get_text() for text in axes.texts)


def test_an_encoding_may_have_measured_scores_only() -> None:
    figure = drawn(expected={}, measured={"far": CURVES["far"]})
    assert len(titled(figure)["D  Measured score, mean of layers and heads"].get_lines()) == 1
    assert "far" in written(figure)


def test_nothing_rotates() -> None:
    axes = titled(drawn(wavelengths={}, length=0))["D  Wavelengths of the rotary pairs"]
    assert [text.get_text() for text in axes.texts] == ["nothing rotates"]


def test_the_protocol_and_the_title_are_part_of_the_picture() -> None:
    figure = drawn()
    assert PROTOCOL in written(figure)
    assert titles(figure)[0] == "a pattern"
    paper = drawn(options=FigureOptions(title=False, footnote=False, width=7.0))
    assert PROTOCOL not in written(paper)
    assert "a pattern" not in titles(paper)
    assert paper.get_figwidth() == 7.0
    assert render(figure, "png").startswith(b"\x89PNG")
    assert render(figure, "pdf").startswith(b"%PDF-")
