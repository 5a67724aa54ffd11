"""The page of all encodings is what their files say now, and everything there is has its picture."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from ropelab import attention
from ropelab.cli.planning import explained
from ropelab.encodings import ALL, NoPE, RoPE, YaRN, parse
from ropelab.reporting.charts.gallery import draw_encodings
from ropelab.reporting.charts.style import render
from ropelab.reporting.encoding_page import marked_down
from tools import docs_pages as pages
from tools.docs_pages import entry, families

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_files_say():
    assert (DOCS / "encodings.md").read_text() == pages.encodings_page(), (
        "docs/encodings.md is stale; write it anew: python -m tools.docs_pages --docs=docs"
    )


def test_every_encoding_is_described_and_drawn():
    found = families(pages.DRAWN, pages.PICTURES)
    described = [one.name for family in found for entry in family.entries for one in entry.classes]
    assert set(described) == {type(e).__name__ for e in ALL}
    assert len(described) == len(set(described))
    drawn = [spec for family in found for entry in family.entries for spec in entry.drawn.values()]
    assert {type(parse(spec)).__name__ for spec in drawn} == set(described)
    assert all((DOCS / family.picture).read_bytes().startswith(b"\x89PNG") for family in found)


def test_a_file_without_a_curve_of_its_own_shows_its_examples():
    assert entry("ropelab.encodings.alibi", {}).drawn == {"ALiBi": "ALiBi()"}


def test_the_folder_is_asked_for(capsys: pytest.CaptureFixture):
    assert pages.main(["pages"]) == 2
    assert "--docs is missing" in capsys.readouterr().err


def test_every_file_names_its_source():
    for family in families(pages.DRAWN, pages.PICTURES):
        for one in family.entries:
            assert "Source: " in one.docstring or one.file == "layers.py", one.file


def test_every_pattern_is_drawn():
    drawn = {type(attention.parse(spec)) for spec in pages.PATTERNS}
    assert drawn == {type(pattern) for pattern in attention.ALL}
    assert (DOCS / "patterns.png").read_bytes().startswith(b"\x89PNG")


def test_fields_are_explained_by_the_class_that_has_them():
    says = explained(YaRN)
    assert says["factor"] == "new length over `original_length`."
    assert says["mscale"] == says["mscale_all_dim"]
    assert "inv_freq" in says["base"]


def test_a_docstring_becomes_paragraphs_equations_and_links():
    text = "One\nidea.\n\n    a = b\n    c = d\n\nSource: X, arXiv\n2104.09864, and kexue.fm/archives/9708."
    assert marked_down(text) == [
        "One idea.",
        "",
        "    a = b",
        "    c = d",
        "",
        "Source: X, [arXiv 2104.09864](https://arxiv.org/abs/2104.09864), and "
        "[kexue.fm/archives/9708](https://kexue.fm/archives/9708).",
    ]


def test_curves_are_drawn_without_a_complaint():
    drawn = [pages.curves("NoPE", NoPE()), pages.curves("RoPE", RoPE(base=1e4))]
    assert np.allclose(drawn[0].scores_Mn, np.sqrt(pages.HEAD_DIM))
    assert drawn[0].wavelengths_R is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # matplotlib calls old names of a newer pyparsing
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="matplotlib|pyparsing")
        assert render(draw_encodings(drawn, drawn[1], trained_length=512), "png").startswith(b"\x89PNG")
