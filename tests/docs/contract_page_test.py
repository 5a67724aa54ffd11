"""The table encoding x property in the docs is that of the catalogue and the suite there are now."""

import inspect
import re
from pathlib import Path

from ropelab.contract import PROPERTIES
from ropelab.encodings import ALL

PAGE = (Path(__file__).parents[2] / "docs" / "contract.md").read_text()


def test_every_encoding_has_a_row_and_every_property_a_column():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")
    ]
    assert rows[0][1:] == [str(n) for n, _ in enumerate(PROPERTIES, 1)]
    assert [row[0] for row in rows[1:]] == list(dict.fromkeys(type(e).__name__ for e in ALL))
    assert {cell for row in rows[1:] for cell in row[1:]} == {"✓", "n/a"}
    assert {len(row) for row in rows} == {1 + len(PROPERTIES)}


def test_every_property_is_explained_in_its_own_words():
    for n, (name, holds) in enumerate(PROPERTIES.items(), 1):
        sentence = " ".join((inspect.getdoc(holds) or "").split("\n\n")[0].split())
        assert f"{n}. `{name}`: {sentence}\n" in PAGE


def test_every_example_is_named():
    assert re.findall(r"^- `(.*)`$", PAGE, re.MULTILINE) == [repr(e) for e in ALL]
