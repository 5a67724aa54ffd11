"""Options of figures are the same as flags and as one spec, and reach the files of the commands that draw."""

import pytest
from absl import flags

from ropelab.cli import show
from ropelab.cli.figure_flags import define_figure_flags, figure_options
from ropelab.reporting.charts.style import FigureOptions


def parsed(*words: str) -> FigureOptions:
    values = flags.FlagValues()
    define_figure_flags(values)
    values(["command", *words])
    return figure_options(values)


def test_flags_and_a_spec_say_the_same():
    wanted = FigureOptions(width=3.3, font="serif", font_size=8.0, labels="ours = PI(factor=2.0)", title=False)
    as_flags = parsed(
        *("--figure_width=3.3", "--figure_font=serif", "--figure_font_size=8"),
        *("--figure_labels=ours = PI(factor=2.0)", "--nofigure_title"),
    )
    assert parsed(f"--figures={wanted!r}") == as_flags == wanted
    assert parsed("--figures=FigureOptions(width=3.3, title=False)", "--figure_title").title
    assert parsed() == FigureOptions()


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("--figures=FigureOptions(widht=3)", "widht"),
        ("--figures=Options(width=3)", "FigureOptions"),
        ("--figure_width=-1", "width=-1"),
        ("--figure_labels=nothing", "nothing"),
    ],
)
def test_a_wrong_option_raises(word, named):
    with pytest.raises(ValueError, match=named):
        parsed(word)


def test_they_reach_the_files(tmp_path, capsys):
    words = ["--lengths=16", "--length=8", "--figure_width=5", "--nofigure_title", f"--workdir={tmp_path}"]
    assert show.main(["show", *words]) == 0, capsys.readouterr().err
    assert 'width="360pt"' in (tmp_path / "portrait.svg").read_text()
    assert show.main(["show", *words, "--figure_font=No Such Font"]) == 2
    assert "No Such Font" in capsys.readouterr().err
