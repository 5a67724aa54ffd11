"""Which documents files hold, how they are divided and cut, and that a label stands for contents."""

import sysconfig
from pathlib import Path

import pytest

from ropelab.data import files
from tests.errors import names


def texts(documents):
    return {d.name: d.read() for d in documents}


def test_a_folder_is_divided_by_name_and_what_is_no_text_is_passed_over(tmp_path):
    for number in range(60):
        (tmp_path / f"{number}.txt").write_text(f"text {number}")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "ä.md").write_text("Übung", encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / ".hidden").write_text("no")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    library = files.list_local_text(str(tmp_path))
    train, test = texts(library.train), texts(library.test)
    assert not train.keys() & test.keys()
    assert train | test == {f"{n}.txt": f"text {n}" for n in range(60)} | {"below/ä.md": "Übung"}
    assert len(test) == round(61 * 0.07)
    assert files.list_local_text(str(tmp_path)).label == library.label


def test_a_label_is_of_names_and_contents(tmp_path):
    (tmp_path / "a.txt").write_text("one\n")
    (tmp_path / "b.txt").write_text("two\n")
    labels = {files.list_local_text(str(tmp_path)).label}
    (tmp_path / "a.txt").write_text("eno\n")
    labels.add(files.list_local_text(str(tmp_path)).label)
    (tmp_path / "a.txt").rename(tmp_path / "c.txt")
    labels.add(files.list_local_text(str(tmp_path)).label)
    (tmp_path / "c.txt").write_text("eno\nt")
    (tmp_path / "b.txt").write_text("wo\n")
    labels.add(files.list_local_text(str(tmp_path)).label)
    assert len(labels) == 4


def test_two_files_are_one_to_train_on_and_one_to_measure_on(tmp_path):
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("two")
    library = files.list_local_text(str(tmp_path))
    assert len(library.train) == len(library.test) == 1


@pytest.mark.parametrize("text", ["a line of a text\n" * 1000, "ä" * 5000, "x" * 20 + "\n" + "no more lines " * 300])
def test_a_single_file_is_divided_within(tmp_path, text):
    path = tmp_path / "one.txt"
    path.write_text(text, encoding="utf-8")
    library = files.list_local_text(str(path))
    train, test = ("".join(texts(side).values()) for side in (library.train, library.test))
    assert train + test == text
    assert 0.92 <= len(train) / len(text) <= 0.94
    assert "\n" not in text[30:] or train.endswith("\n")


@pytest.mark.parametrize("text", ["0123456789\n" * 500, "€" * 900, "a\n" + "z" * 3000])
def test_long_files_are_several_documents(tmp_path, text, monkeypatch):
    monkeypatch.setattr(files, "MAX_DOCUMENT_BYTES", 512)
    for name in "abc":
        (tmp_path / name).write_text(text + name, encoding="utf-8")
    library = files.list_local_text(str(tmp_path))
    for side in (library.train, library.test):
        parts = [(document.name.partition("[")[0], document.read()) for document in side]
        assert all(len(part.encode()) <= 512 for _, part in parts)
        for name in {name for name, _ in parts}:
            assert "".join(part for owner, part in parts if owner == name) == text + name
    assert not {d.name[0] for d in library.train} & {d.name[0] for d in library.test}


def test_what_holds_no_text_is_refused(tmp_path):
    (tmp_path / "short").write_text("a")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder").mkdir()
    for name in ("nowhere", "binary", "folder", "short"):
        with pytest.raises(ValueError, match=names(tmp_path / name)):
            files.list_local_text(str(tmp_path / name))
    with pytest.raises(ValueError, match="''"):
        files.list_local_text("")


def test_the_standard_library_is_all_of_it_and_nothing_else():
    library = files.list_python_stdlib()
    names = {d.name for d in [*library.train, *library.test]}
    assert {"os.py", "json/decoder.py", "asyncio/events.py"} <= names
    assert not any("site-packages" in name or not name.endswith(".py") for name in names)
    root = Path(sysconfig.get_paths()["stdlib"])
    assert {path.name for path in root.glob("*.py")} <= names
    assert 0.06 < len(library.test) / len(names) < 0.08
    assert library.label == files.list_python_stdlib().label


def test_the_help_is_divided_by_topic():
    from pydoc_data.topics import topics

    library = files.list_python_docs()
    train, test = texts(library.train), texts(library.test)
    assert train | test == topics
    assert len(test) == round(0.07 * len(topics))
