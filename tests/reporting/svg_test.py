"""A chart is drawn to scale, in words too, and is as light as it can be."""

import math
import re
import xml.etree.ElementTree as ET

import pytest

from ropelab.reporting.chart_lines import MARKERS, styles
from ropelab.reporting.page import Chart, Point, Series, uncoded
from ropelab.reporting.svg import NARROW, WIDE, svg, swatch
from tests.reporting.sample_page import HOSTILE, bands, positions

LINE = Chart("T", "x", "y", [Series("a", [Point(0, 0), Point(5, 50), Point(10, 100)])], marks=[(5, "half")])


def drawn(chart: Chart, **options) -> ET.Element:
    return ET.fromstring(svg(chart, name="n", **options))


def of_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [element for element in root.iter() if name in element.get("class", "").split()]


def numbers(path: ET.Element) -> list[float]:
    return [float(v) for v in re.findall(r"-?[\d.]+", path.get("d", ""))]


def test_points_stand_where_their_values_are():
    root = drawn(LINE)
    (stroke,) = of_class(root, "stroke")
    x0, y0, x1, y1, x2, y2 = numbers(stroke)
    left, right, top, bottom = (float(root.get(f"data-{side}", "")) for side in ("left", "right", "top", "bottom"))
    assert (x0, x2, y0, y2) == (left, right, bottom, top)
    assert (x1, y1) == (pytest.approx((left + right) / 2, abs=0.1), (top + bottom) / 2)
    (mark,) = of_class(root, "mark")
    assert (mark[0].get("x1"), mark[1].text) == (f"{x1:g}", "half")


def test_all_stands_within_the_drawing():
    for chart in (LINE, bands(), positions()):
        for size in (WIDE, NARROW):
            for path in (*of_class(root := drawn(chart, size=size), "stroke"), *of_class(root, "band")):
                values = numbers(path)
                assert all(0 <= x <= size.width for x in values[::2])
                assert all(0 <= y <= size.height for y in values[1::2])


def test_a_reader_has_the_title_and_the_chart_in_words():
    root = drawn(LINE)
    assert root.get("role") == "img"
    names = {element.get("id"): element.text for element in root if element.get("id")}
    assert root.get("aria-labelledby") == "n-title n-desc"
    assert names == {"n-title": "T", "n-desc": "y against x. a: from 0 at 0 to 100 at 10. Marked: half at 5."}


def test_few_points_have_their_values_and_many_have_few_markers():
    few, many = drawn(bands()), drawn(positions())
    titles = [dot[0].text for dot in of_class(few, "dot")]
    assert len(titles) == 30
    assert titles[0] == "Sinusoidal(): 3.962 [3.843, 4.12] at 256"
    assert all(len(dot) == 0 for dot in of_class(many, "dot"))
    assert len(of_class(many, "dot")) <= 10 * 4
    assert len(svg(positions(), name="n")) < 60_000


def test_a_dashed_line_has_the_colour_and_marker_of_the_one_before_it():
    looks = styles(bands().series)
    assert [look.colour for look in looks] == [0, 1, 1, 2, 3, 3]
    assert [look.marker for look in looks] == [MARKERS[i] for i in (0, 1, 1, 2, 3, 3)]
    assert len({*styles([Series("", [])] * 56)}) == 56
    groups = of_class(drawn(bands()), "line")
    assert ["dashed" in group.get("class", "") for group in groups] == [look.dashed for look in looks]
    assert 'class="line c1 dashed"' in swatch(looks[2])


def test_a_line_is_parted_where_a_value_has_no_place():
    points = [Point(1, 1), Point(2, math.nan), Point(3, 3), Point(4, -1), Point(5, 5)]
    assert len(of_class(drawn(Chart("", "", "", [Series("a", points)])), "stroke")) == 2
    assert len(of_class(drawn(Chart("", "", "", [Series("a", points)], log_y=True)), "stroke")) == 3


def test_a_band_of_one_point_is_a_whisker():
    root = drawn(Chart("", "", "", [Series("a", [Point(1, 2, 1, 3)])]))
    assert (len(of_class(root, "band")), len(of_class(root, "whisker"))) == (0, 1)
    assert len(of_class(drawn(bands()), "band")) == 6


@pytest.mark.parametrize("series", [[], [Series("a", [])], [Series("a", [Point(math.nan, math.inf)])]])
def test_nothing_to_draw_is_an_empty_chart(series):
    assert not of_class(drawn(Chart("", "", "", series, log_x=True, log_y=True)), "stroke")


def test_what_a_mark_is_stands_on_the_side_with_room_and_is_shortened_to_it():
    for at, anchor in ((1, "start"), (9, "end")):
        (mark,) = of_class(drawn(LINE._replace(marks=[(at, "a long name " * 9)]), size=NARROW), "mark")
        assert mark[1].get("text-anchor") == anchor
        assert 20 < len(mark[1].text or "") < 45
        assert (mark[1].text or "").endswith("…")


def test_a_mark_beyond_the_axis_is_left_out():
    assert not of_class(drawn(LINE._replace(marks=[(11, "beyond"), (math.nan, "nowhere")])), "mark")


def test_hostile_text_is_text():
    chart = Chart(HOSTILE, HOSTILE, HOSTILE, [Series(HOSTILE, [Point(1, 1)])], marks=[(1, HOSTILE)])
    assert "<script" not in svg(chart, name="n")
    assert uncoded(HOSTILE) in {element.text for element in drawn(chart).iter()}
