"""Charts: one style per variant, axes that say what they are, and the same drawing as PNG, PDF, SVG and in a page."""

import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from ropelab.reporting.charts.heat_maps import draw_heat
from ropelab.reporting.charts.inline import inline_svg
from ropelab.reporting.charts.lines import draw_chart, format_tick, split_runs
from ropelab.reporting.charts.perplexity import LIMIT, average_bins, difference_chart, perplexity_chart
from ropelab.reporting.charts.style import COLOURS, FORMATS, GREY, INK, FigureOptions, assign_styles, render, styles_of
from ropelab.reporting.page import Chart, Heat, Point, Series, uncoded
from tests.reporting.sample_page import HOSTILE, bands, heat, positions
from tests.reporting.samples import PROTOCOL, VARIANTS

LINE = Chart("T", "x", "y", [Series("a", [Point(0, 0), Point(5, 50), Point(10, 100)])], marks=[(5, "half")])
NLL = {arm: np.full((2, 480), level, np.float32) for arm, level in zip(VARIANTS, (9.0, 2.5, 2.4), strict=True)}
PLAIN = FigureOptions(title=False, footnote=False)
SVG = "{http://www.w3.org/2000/svg}"


def texts(figure: Figure) -> list[str]:
    """All text that an SVG of the figure holds; a wrapped text is several."""
    return [element.text or "" for element in ET.fromstring(render(figure, "svg")).iter(f"{SVG}text")]


def lines(figure: Figure) -> list[Any]:
    return [line for line in figure.axes[0].get_lines() if len(np.asarray(line.get_xdata())) != 2]


def inlined(figure: Figure, prefix: str = "n") -> ET.Element:
    return ET.fromstring(inline_svg(figure, prefix=prefix, label="in words"))


def test_a_variant_has_one_colour_and_one_marker_in_all_charts():
    first, second = [Series("b", []), Series("PI(factor=2.0)", [])], [Series("`PI(factor=2.0)`", []), Series("c", [])]
    styles = styles_of([Chart("", "", "", first), Chart("", "", "", second)])
    assert list(styles) == ["b", "PI(factor=2.0)", "c"]
    assert len({(style.colour, style.marker) for style in styles.values()}) == 3
    drawn = [draw_chart(bands()._replace(series=series), styles=styles) for series in (first, second)]
    assert drawn[0].axes[0].get_lines()[1].get_color() == drawn[1].axes[0].get_lines()[0].get_color() == COLOURS[1]


def test_known_methods_keep_their_colours_across_reports():
    one, other = assign_styles(["unchanged", "mine", "PI(factor=2.0)"]), assign_styles(["PI(factor=2.0)", "unchanged"])
    assert one["unchanged"] == other["unchanged"]
    assert one["PI(factor=2.0)"] == other["PI(factor=2.0)"]
    assert one["unchanged"].colour == INK
    assert assign_styles(["RoPE(base=1e4)", "unchanged"])["unchanged"].colour == INK
    chopped = assign_styles(VARIANTS)[VARIANTS[1]]
    assert (chopped.colour, chopped.dashed) == (GREY, True)


@settings(deadline=None)
@given(st.lists(st.text(max_size=12), max_size=56, unique_by=uncoded))
def test_no_two_variants_look_the_same(names):
    styles = assign_styles(names)
    assert len({(style.colour, style.marker) for style in styles.values()}) == len(styles)


def test_a_dashed_line_has_the_colour_and_marker_of_the_one_before_it():
    styles = list(styles_of([bands()]).values())
    assert [style.dashed for style in styles] == [False, False, True, False, False, True]
    for solid, dashed in ((styles[1], styles[2]), (styles[4], styles[5])):
        assert solid[:2] == dashed[:2]
    drawn = [line.get_linestyle() for line in lines(draw_chart(bands()))]
    assert drawn == ["-", "-", "--", "-", "-", "--"]


def test_colours_can_be_told_apart_on_white_and_on_dark():
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    from ropelab.reporting.page_html import DARK

    assert all(1.05 / (luminance(colour) + 0.05) >= 3 for colour in COLOURS)
    assert all((luminance(colour) + 0.05) / (luminance("#15171b") + 0.05) >= 3 for colour in DARK[1:])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"width": 0.0}, "width"),
        ({"width": True}, "width"),
        ({"font_size": math.nan}, "font_size"),
        ({"title": 1}, "title"),
        ({"labels": "no equals sign"}, "labels"),
        ({"font": 3}, "font"),
    ],
)
def test_options_are_checked(options, named):
    with pytest.raises(ValueError, match=named):
        FigureOptions(**options)


def test_a_font_that_is_not_installed_raises():
    with pytest.raises(ValueError, match="No Such Font"):
        draw_chart(LINE, FigureOptions(font="No Such Font"))


def test_options_change_the_figure():
    chart = positions()
    default = draw_chart(chart)
    paper = draw_chart(chart, FigureOptions(width=3.3, font="serif", labels="Ours = PI(factor=2.0)", title=False))
    assert (default.get_figwidth(), paper.get_figwidth()) == (8.0, 3.3)
    assert {chart.title, "PI(factor=2.0)"} <= set(texts(default))
    assert chart.title not in texts(paper)
    assert {"Ours"} <= set(texts(paper))
    assert "PI(factor=2.0)" not in texts(paper)
    assert "DejaVu Serif" in render(paper, "svg").decode()
    assert "window of 16384" in " ".join(texts(paper))
    assert "window of 16384" not in " ".join(texts(draw_chart(chart, PLAIN)))


def test_lines_stand_at_their_values_and_no_marker_is_cut_off():
    for chart in (LINE, bands(), positions()):
        figure = draw_chart(chart)
        (axes,) = figure.axes
        figure.canvas.draw()
        frame = axes.get_window_extent().padded(-4 * figure.dpi / 72 / 2)
        for line, drawn in zip(chart.series, lines(figure), strict=True):
            values = np.asarray(drawn.get_xydata())[: len(line.points)]
            np.testing.assert_allclose(values, [(p.x, p.y) for p in line.points])
            assert all(frame.contains(*axes.transData.transform(value)) for value in values)


def test_a_logarithmic_axis_says_so():
    (axes,) = draw_chart(bands()).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("length (tokens, log scale)", "perplexity (log scale)")
    (axes,) = draw_chart(positions()).axes
    assert (axes.get_xscale(), axes.get_xlabel()) == ("linear", "position (tokens)")


@pytest.mark.parametrize(
    ("values", "log", "ticks"),
    [
        ((0, 10), False, ["0", "2", "4", "6", "8", "10"]),
        ((256, 512, 4096), True, ["256", "512", "1024", "2048", "4096"]),
        ((1, 2**20), True, ["4", "32", "256", "2048", "16384", "131072", "1048576"]),
        ((1, 90), True, ["1", "2", "5", "10", "20", "50", "100"]),
        ((9, 3000), True, ["10", "30", "100", "300", "1000", "3000"]),
        ((10, 15.2), True, ["10", "11", "12", "13", "14", "15"]),
    ],
)
def test_ticks_are_few_and_round(values, log, ticks):
    chart = Chart("", "x", "y", [Series("a", [Point(1, v) for v in values])], log_y=log)
    (axes,) = draw_chart(chart).axes
    low, high = axes.get_ylim()
    shown = [format_tick(tick) for tick in axes.get_yticks() if low <= tick <= high]
    assert shown == ticks


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (8192, "8192"), (1048576, "1048576"), (-2.5, "−2.5"), (1e-6, "10⁻⁶"), (2.5e9, "2.5·10⁹")],
)
def test_ticks_as_text(value, text):
    assert format_tick(value) == text


def test_ticks_of_lengths_are_multiples_of_a_power_of_two():
    (axes,) = draw_chart(positions()).axes
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [0, 4096, 8192, 12288, 16384]


def test_a_line_is_split_where_a_value_cannot_be_drawn():
    line = Series("a", [Point(1, 1), Point(2, math.nan), Point(3, 3), Point(4, -1), Point(5, 5)])
    assert [len(run) for run in split_runs(line, Chart("", "", "", []))] == [1, 3]
    assert [len(run) for run in split_runs(line, Chart("", "", "", [], log_y=True))] == [1, 1, 1]
    assert "a (not finite where no line is drawn)" in texts(draw_chart(Chart("", "", "", [line])))


def test_every_line_has_its_band_and_a_single_point_a_whisker():
    assert len(draw_chart(bands()).axes[0].collections) == 6
    (whisker,) = draw_chart(Chart("", "", "", [Series("a", [Point(1, 2, 1, 3)])])).axes[0].collections
    np.testing.assert_allclose(np.asarray(whisker.get_paths()[0].vertices), [(1, 1), (1, 3)])


def test_few_points_all_have_markers_and_many_have_some_at_different_places():
    every = [line.get_markevery() for line in lines(draw_chart(positions()))]
    assert all(len(points) <= 12 for points in every)
    assert len({points[0] for points in every}) == len(every)
    assert [line.get_markevery() for line in lines(draw_chart(bands()))] == [list(range(5))] * 6


def test_marks_within_the_axis_are_drawn_on_the_side_with_room_and_shortened():
    for x, side in ((1, "left"), (9, "right")):
        drawn = draw_chart(LINE._replace(marks=[(x, "a long name " * 20), (99, "beyond"), (math.nan, "nowhere")]))
        (mark,) = drawn.axes[0].texts
        assert mark.get_ha() == side
        assert mark.get_text().endswith("…")


EMPTY = [
    Chart("", "", "", []),
    Chart("", "", "", [Series("a", [])], True, True),
    Chart("", "", "", [Series("a", [Point(float("nan"), 1), Point(1, math.inf)])], log_y=True),
    Chart("", "", "", [Series("a", [Point(3, 5)])], marks=[(8, "m")]),
    Heat("", "", "", [], [], []),
    Heat("", "", "", ["a"], [str(n) for n in range(40)], [[0.5] * 40]),
    Heat("", "", "", [str(n) for n in range(40)], [str(n) for n in range(40)], [[0.5, None] * 20] * 40),
]


@pytest.mark.parametrize("part", EMPTY)
@pytest.mark.parametrize("options", [FigureOptions(), FigureOptions(width=3.3)])
def test_an_empty_or_odd_part_is_drawn(part, options):
    figure = draw_chart(part, options) if isinstance(part, Chart) else draw_heat(part, options)
    assert inlined(figure).tag == "svg"


def test_a_heat_map_has_its_values_and_a_scale():
    axes, bar = draw_heat(heat()).axes
    assert [text.get_text() for text in axes.texts][12:15] == ["0.55", "0.31", "–"]
    assert bar.get_ylim() == (0, 1)


def test_a_large_heat_map_is_an_image_and_a_small_one_is_not():
    assert not list(inlined(draw_heat(heat())).iter("image"))
    root = inlined(draw_heat(EMPTY[-1]))
    (image,) = [one for one in root.iter("image") if float(one.get("width", "0")) > 100]
    assert image.get("href", "").startswith("data:image/png;base64,")
    assert len(ET.tostring(root)) < 100_000


def test_files_are_what_they_say_and_repeat():
    for kind, magic in zip(FORMATS, (b"\x89PNG\r\n\x1a\n", b"%PDF-", b"<?xml"), strict=True):
        first, second = (render(draw_chart(bands()), kind) for _ in range(2))
        assert first.startswith(magic)
        assert first == second
    assert len(render(draw_chart(positions()), "svg")) < 100_000


@pytest.mark.parametrize("figure", [draw_chart(bands(), PLAIN), draw_chart(positions()), draw_heat(heat())])
def test_an_inlined_figure_has_text_and_the_colours_of_its_page(figure):
    root = inlined(figure)
    names = {name for element in root.iter() for name in element}
    assert not names & {"style", "onload", "class", "font-family"}
    assert root.get("role") == "img"
    assert root.get("aria-label") == "in words"
    assert {element.tag for element in root.iter()} <= {
        "svg", "g", "path", "text", "use", "defs", "clipPath", "rect", "image",
    }  # fmt: skip
    found = {element.text for element in root.iter("text")}
    assert found & {"length (tokens, log scale)", "position (tokens)", "length (tokens)"}
    written = ET.tostring(root, encoding="unicode")
    assert "currentColor" in written
    assert "http" not in written
    assert not re.search("|".join(COLOURS), written)


def test_ids_of_two_inlined_figures_differ():
    ids = [
        {element.get("id") for element in inlined(draw_chart(bands()), prefix).iter() if element.get("id")}
        for prefix in ("a", "b")
    ]
    assert all(ids)
    assert not ids[0] & ids[1]
    root = inlined(draw_chart(bands()), "a")
    for element in root.iter():
        for name in ("href", "clip-path"):
            if value := element.get(name):
                assert value.strip("url()").removeprefix("#") in ids[0]


def test_hostile_text_is_text():
    hostile = f"{HOSTILE}\x00\x1b\ud800"
    chart = Chart(hostile, hostile, hostile, [Series(hostile, [Point(1, 1)])], marks=[(1, hostile)], note=hostile)
    written = inline_svg(draw_chart(chart), prefix="n", label=HOSTILE)
    assert "<script" not in written
    assert "alert(1)" in written
    draw_heat(
        heat()._replace(title=hostile, rows=[hostile] * 5, columns=[hostile] * 5, row_label=hostile)
    ).canvas.draw()


def test_perplexity_by_position_is_that_of_every_variant():
    chart = perplexity_chart(NLL, trained_length=32, note=PROTOCOL.line())
    assert [line.name for line in chart.series] == list(VARIANTS)
    for arm, line in zip(VARIANTS, chart.series, strict=True):
        np.testing.assert_allclose([point.y for point in line.points], np.exp(NLL[arm][0, 0]), rtol=1e-5)
    assert (chart.y, chart.log_y, chart.note) == ("perplexity over 20 tokens", True, PROTOCOL.line())
    figure = draw_chart(chart)
    dashed = [line.get_linestyle() == "--" for line in lines(figure)]
    assert dashed == [False, True, False]


@pytest.mark.parametrize(("trained_length", "marked"), [(32, True), (481, False), (8192, False), (0, False)])
def test_the_trained_length_is_marked_if_it_is_within(trained_length: int, marked: bool):
    for chart in (
        perplexity_chart(NLL, trained_length=trained_length),
        difference_chart(NLL, trained_length=trained_length),
    ):
        assert chart is not None
        assert bool(chart.marks) == marked


def test_points_are_in_the_middle_of_what_they_average():
    """Entry t is the loss of position t + 1: the first four are positions 1 to 4, whose middle is 3."""
    nll = np.asarray([[1, 1, 1, 1, 4, 4, 4, 4, 9], [3, 1, 1, 1, 0, 0, 0, 0, 9]], np.float64)
    centres, means = average_bins(nll, 4)
    np.testing.assert_allclose(centres, [3, 7])
    np.testing.assert_allclose(means, [[1, 4], [1.5, 0]])
    centres, means = average_bins(np.zeros((1, 5)), 512)
    np.testing.assert_allclose((centres, means[0]), ([3.5], [0.0]))


def test_the_end_of_a_text_is_drawn():
    """A text of 12288 tokens has 12287 losses, which are not a multiple of any round number."""
    nll = {"unchanged": np.zeros((1, 12287)), "mine": np.ones((1, 12287))}
    for chart in (perplexity_chart(nll, trained_length=8192), difference_chart(nll, trained_length=8192)):
        assert chart is not None
        assert chart.series[0].points[-1].x > 12287 - 800


def test_a_difference_is_to_the_unchanged_model_on_chopped_text():
    chart = difference_chart(NLL, trained_length=32)
    assert chart is not None
    assert [line.points[0].y for line in chart.series] == pytest.approx([6.5, 0.0, -0.1], abs=1e-6)
    assert VARIANTS[1] in chart.title
    figure = draw_chart(chart)
    assert f"{VARIANTS[0]} (beyond this axis)" in texts(figure)
    assert figure.axes[0].get_ylim()[1] <= LIMIT
    alone = {"unchanged": NLL[VARIANTS[0]]}
    assert difference_chart(alone, trained_length=32) is None
    within = difference_chart(alone | {"PI": NLL[VARIANTS[2]]}, trained_length=8192)
    assert within is not None
    assert "unchanged" in within.title


@pytest.mark.parametrize(("windows", "words"), [(5, "over windows"), (1, "over blocks")])
def test_an_interval_holds_the_true_difference_as_often_as_it_says(windows, words):
    """Paired by token, so that what the text does cancels."""
    held, rng = [], np.random.default_rng(0)
    for _ in range(40):
        text = rng.gamma(1.0, 3.0, (windows, 1600))
        other = text + rng.normal(0.1, 0.5, text.shape)
        chart = difference_chart({"unchanged": text, "mine": other}, trained_length=0)
        assert chart is not None
        assert words in chart.note
        held += [p.low <= 0.1 <= p.high for p in chart.series[1].points if p.low is not None and p.high is not None]
        assert all(p.low is None for p in chart.series[0].points)
    assert len(held) >= 400
    assert 0.92 < np.mean(held) < 0.98


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e4])
def test_a_variant_that_diverged_does_not_hide_the_others(value):
    nll = {"unchanged": np.ones((2, 63)), "bad": np.full((2, 63), value), "good": np.full((2, 63), 0.9)}
    for chart in (perplexity_chart(nll, trained_length=8), difference_chart(nll, trained_length=8)):
        assert chart is not None
        assert any("bad (" in text for text in texts(draw_chart(chart)))


def test_a_long_title_is_not_cut_off():
    title = "smollm2 = SmolLM2-135M-Instruct, Q4_1 GGUF, computed in float32 on python-reference, 12288 tokens " * 2
    figure = draw_chart(LINE._replace(title=title))
    figure.canvas.draw()
    (text,) = [body._suptitle for body in figure.subfigs if getattr(body, "_suptitle", None)]
    assert text.get_text().replace("\n", " ") == title.strip()
    assert text.get_window_extent().x1 <= figure.bbox.x1
