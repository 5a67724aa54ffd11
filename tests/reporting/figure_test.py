"""The figure shows every arm at its place, on a logarithmic axis, with the protocol under it."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from ropelab.reporting.charts.perplexity import average_windows, draw_perplexity, render
from tests.reporting.samples import ARMS, PROTOCOL

NLL = {arm: np.full((2, 479), level, np.float32) for arm, level in zip(ARMS, (9.0, 2.5, 2.4), strict=True)}


def drawn(trained_length: int = 32, **nll: np.ndarray) -> Figure:
    return draw_perplexity(nll or NLL, trained_length=trained_length, title="tiny on noise", protocol=PROTOCOL)


def test_every_arm_is_a_line_at_its_perplexity() -> None:
    (axes,) = drawn().axes
    lines = {line.get_label(): line for line in axes.get_lines() if not str(line.get_label()).startswith("_")}
    assert list(lines) == list(ARMS)
    for arm, line in lines.items():
        np.testing.assert_allclose(np.asarray(line.get_ydata()), np.exp(NLL[arm][0, 0]), rtol=1e-5)
    assert len({line.get_color() for line in lines.values()}) == len(ARMS)
    assert {arm for arm, line in lines.items() if line.get_linestyle() == "--"} == {ARMS[1]}


def test_the_axes_say_what_they_are() -> None:
    (axes,) = drawn().axes
    assert (axes.get_yscale(), axes.get_xscale()) == ("log", "linear")
    assert axes.get_xlim() == (0, 480)
    assert "position" in axes.get_xlabel()
    assert "perplexity over 20 tokens" in axes.get_ylabel()
    assert axes.get_title(loc="left") == "tiny on noise"


def test_the_protocol_is_part_of_the_picture() -> None:
    texts = [text.get_text() for part in drawn().subfigs for text in part.texts]
    assert any(PROTOCOL in text for text in texts)


@pytest.mark.parametrize(("trained_length", "marked"), [(32, True), (480, False), (8192, False), (0, False)])
def test_the_trained_length_is_marked_where_it_lies_within(trained_length: int, marked: bool) -> None:
    (axes,) = drawn(trained_length).axes
    assert any("trained on" in text.get_text() for text in axes.texts) == marked


def test_points_stand_in_the_middle_of_what_they_average() -> None:
    """Entry t is the loss of position t + 1: the first four are positions 1 to 4, their middle 3 in a cell each."""
    nll = np.log(np.asarray([[1, 1, 1, 1, 4, 4, 4, 4, 9], [1, 1, 1, 1, 1, 1, 1, 1, 9]], np.float64))
    positions, perplexity = average_windows(nll, 4)
    np.testing.assert_allclose(positions, [3, 7])
    np.testing.assert_allclose(perplexity, [1, 2])


def test_a_text_shorter_than_a_window_is_one_point() -> None:
    positions, perplexity = average_windows(np.zeros((1, 5)), 512)
    np.testing.assert_allclose((positions, perplexity), ([3.5], [1.0]))
    assert drawn(short=np.zeros((1, 1), np.float32)).axes


def test_pictures_are_pictures() -> None:
    figure = drawn()
    png, pdf = render(figure, "png"), render(figure, "pdf")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png.rstrip().endswith(b"IEND\xaeB`\x82")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert width > height > 500
    assert pdf.startswith(b"%PDF-")


def test_a_long_title_is_not_cut_off():
    title = "smollm2 = SmolLM2-135M-Instruct, Q4_1 GGUF, computed in float32 on python-reference, 12288 tokens"
    figure = draw_perplexity({"unchanged": np.ones((1, 64))}, trained_length=32, title=title, protocol="p")
    figure.canvas.draw()
    text = next(axes.title if axes.title.get_text() else axes._left_title for axes in figure.axes)
    assert text.get_text().replace("\n", " ") == title
    assert text.get_window_extent().x1 <= figure.bbox.x1
