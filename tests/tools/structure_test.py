"""`tools.structure` on a package small enough to count by hand."""

import shutil

import pytest

from tools import structure

FILES = {
    "bread/__init__.py": "",
    "bread/oven.py": '''
"""The oven.

Heat it first. What is hot burns. Is it what you want?

>>> What is skipped here, in a doctest, however long it may be.
"""

import json


def bake(loaf):
    """Return the loaf, baked.

    Raises:
        ValueError: if it is burnt.
    """
    if not loaf:
        raise ValueError(loaf)
    return json.loads(loaf)


def baked(loaf): return loaf
''',
    "bread/flour.py": "from bread import oven\n\n\ndef read(): return oven.bake\n\n\ndef _embed(): pass\n",
    "bread/table.py": "from .flour import read\n\n\ndef serve():\n    from bread.guests import read\n    return read\n",
    "bread/guests.py": "import bread.table\n\n\ndef read(): pass\n\n\nclass Knife:\n    def read(self): pass\n",
    "bread/butter.py": "def read(): pass\n",
    "bread/oven_test.py": "import bread.butter\n",
    "shop/till.py": "import bread.guests, bread.oven\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.lstrip("\n"))
    return tmp_path


def test_the_table_of_a_package_counted_by_hand(folder):
    assert structure.measure(folder, ["bread", "shop"]) == {
        "modules, lines": "6, 44",
        "other packages": "1, 1",
        "lines per module, median": "6.5",
        "lines per function, median": "1",
        "functions of at most 3 lines": "7 of 8",
        "modules with at most one importer": "3 of 5 (14 lines)",
        "longest import chain": "5 (shop.till)",
        "import cycles": "1",
        "names defined in three modules or more": "1 (read 3)",
        "module-level functions, public / private": "6 / 1",
        "function names that are participles": "1 of 5",
        "docstring lines that begin with a verb, per 1,000 words": "43.5",
        "`what` as a noun, per 1,000 words": "43.5",
    }


def test_cycles_and_chains_name_their_modules(folder):
    modules = structure.find_modules(folder, ["bread", "shop"])
    assert structure.find_cycles(modules) == [["bread.guests", "bread.table"]]
    assert structure.longest_chain(modules) == ["shop.till", "bread.guests", "bread.table", "bread.flour", "bread.oven"]
    assert [m.name for m in structure.rarely_imported(modules)] == [
        "bread.butter",
        "bread.flour",
        "bread.table",
        "shop.till",
    ]


@pytest.mark.parametrize("name", ["divided", "make_taken", "kept_rows", "written_in", "_drawn"])
def test_a_participle_is_seen(name):
    assert structure.is_participle(name)


@pytest.mark.parametrize("name", ["embed", "set_seed", "read_token", "red", "padded_by_rows_of", "open", "apply_rope"])
def test_other_names_are_no_participles(name):
    assert structure.is_participle(name) == (name == "padded_by_rows_of")


@pytest.mark.parametrize("line", ["Return x.", "    Computes the loss.", "Applies it"])
def test_a_verb_at_the_beginning_is_seen(line):
    assert structure.begins_with_verb(line)


@pytest.mark.parametrize("line", ["Returns: x", "returns x", "The loss.", "What returns", "Raises:", "Return's"])
def test_other_beginnings_are_not_verbs(line):
    assert not structure.begins_with_verb(line)


def test_the_command_prints_two_sources_side_by_side(folder, tmp_path_factory, capsys):
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("other") / "copy")
    structure.main(["--compare", str(folder), str(copy), "--packages=bread,shop"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(" | ")[1:] == [folder.name, "copy |"]
    assert lines[2] == "| modules, lines | 6, 44 | 6, 44 |"


def test_a_source_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SystemExit, match="no-such-revision"):
        structure.main(["--rev=no-such-revision"])
    with pytest.raises(SystemExit, match="bread"):
        structure.measure(tmp_path, ["bread"])


def test_frames_from_logits_to_the_hooks_are_counted():
    counts = structure.measure_frames(structure.ROOT)
    assert len(counts) == 2
    assert all(1 < int(text.split()[0]) < 40 for text in counts.values())
