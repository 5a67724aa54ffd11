"""The door to documents: what is built is what is read, whoever else builds or is killed; and no TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ropelab.data import datasets, files
from ropelab.data.datasets import tfds
from ropelab.data.documents import open_documents
from ropelab.data.settings import DataSettings
from ropelab.data.stream import open_stream
from tests.errors import names

HERE = Path(__file__).parents[2]
SIZES = {"length": 32, "batch": 2, "seed": 0}


def documents(settings, split):
    """The texts of a split by their names."""
    records = open_documents(settings, split).records
    return {r["name"].decode(): r["text"].decode() for r in map(records.__getitem__, range(len(records)))}


def run(script):
    return subprocess.run([sys.executable, "-c", script], cwd=HERE, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def texts(tmp_path):
    place = tmp_path / "texts"
    place.mkdir()
    for number in range(20):
        (place / f"{number}.txt").write_text(f"text number {number}\n" * 9)
    return place


@pytest.mark.parametrize(
    "source, made", [("python_stdlib", files.list_python_stdlib), ("python_docs", files.list_python_docs)]
)
def test_what_is_read_is_what_the_files_hold(source, made, data_dir, capfd):
    settings, library = DataSettings(source=source, data_dir=data_dir), made()
    for split, expected in (("train", library.train), ("test", library.test)):
        assert documents(settings, split) == {d.name: text for d in expected if (text := d.read()) is not None}
    assert capfd.readouterr() == ("", "")


def test_no_tensorflow_and_nothing_heavy_before_it_is_needed(tmp_path):
    script = f"""
import sys
heavy = {{"tensorflow", "tensorflow_datasets", "grain"}}
import ropelab, ropelab.data.held_out, ropelab.data.stream, ropelab.training.step
from ropelab.data.settings import DataSettings
next(ropelab.data.stream.open_stream(DataSettings(source="Copy()"), length=8, batch=2, seed=0))
assert not heavy & set(sys.modules), heavy & set(sys.modules)
settings = DataSettings(source="python_docs", data_dir={str(tmp_path)!r})
next(ropelab.data.stream.open_stream(settings, length=8, batch=2, seed=0))
ropelab.data.held_out.load_held_out(settings, length=8, tokens=100)
assert heavy & set(sys.modules) == heavy - {{"tensorflow"}}
"""
    done = run(script)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def test_changed_files_are_another_dataset(texts, data_dir):
    settings = DataSettings(source=f"local_text:{texts}", data_dir=data_dir)
    stream = open_stream(settings, **SIZES)
    before = {**documents(settings, "train"), **documents(settings, "test")}
    (texts / "3.txt").write_text("changed number 3\n" * 9)
    after = {**documents(settings, "train"), **documents(settings, "test")}
    assert before["3.txt"] == "text number 3\n" * 9
    assert after == before | {"3.txt": "changed number 3\n" * 9}
    with pytest.raises(ValueError, match="local_text/"):
        open_stream(settings, **SIZES).restore(stream.state())


def test_of_two_that_prepare_at_once_both_read_the_same(texts, tmp_path, monkeypatch):
    """The other one begins and ends while this one writes: the folder is in the way when this one renames its own."""
    library = files.list_local_text(str(texts))
    one, two = (datasets.LocalText(library, str(tmp_path / "prepared")) for _ in range(2))
    written = datasets.make_examples

    def meanwhile(these):
        monkeypatch.setattr(datasets, "make_examples", written)
        yield from written(these[:2])
        datasets.prepare(two, quiet=True)
        yield from written(these[2:])

    monkeypatch.setattr(datasets, "make_examples", meanwhile)
    found = datasets.open_records(datasets.prepare(one, quiet=True), "train")
    assert sorted(r["name"].decode() for r in found) == sorted(d.name for d in library.train)


def test_one_that_was_killed_leaves_nothing_in_the_way(texts, tmp_path):
    """As by kill -9: half of the records written, no exception, no clean end."""
    script = f"""
import os
from ropelab.data import datasets
from ropelab.data.documents import open_documents
from ropelab.data.settings import DataSettings
whole = datasets.make_examples
def half(documents):
    yield from whole(documents[:3])
    os._exit(9)
datasets.make_examples = half
open_documents(DataSettings(source="local_text:{texts}", data_dir={str(tmp_path / "prepared")!r}), "train")
"""
    assert run(script).returncode == 9
    settings = DataSettings(source=f"local_text:{texts}", data_dir=str(tmp_path / "prepared"))
    assert len(documents(settings, "train") | documents(settings, "test")) == 20


def test_data_among_its_own_files_is_refused(texts):
    with pytest.raises(ValueError, match="data_dir"):
        open_documents(DataSettings(source=f"local_text:{texts}", data_dir=str(texts / "prepared")), "train")


class TinyBooks(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A dataset as others make them, with two texts and a number."""

    VERSION = tfds.core.Version("2.1.0")

    def _info(self):
        text, year = tfds.features.Text(), tfds.features.Scalar(np.int32)
        features = tfds.features.FeaturesDict({"summary": text, "document": text, "year": year})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(30), "validation": self._generate_examples(4)}

    def _generate_examples(self, count):
        for n in range(count):
            yield n, {"summary": f"sum {n}", "document": f"book {n} of {count} " * 20, "year": n}


@pytest.fixture(scope="module")
def tiny_books(data_dir):
    with files.silence_output():
        builder = TinyBooks(data_dir=data_dir)
        builder.download_and_prepare(file_format="array_record")
    return builder


def test_a_prepared_dataset_is_read_by_its_name(tiny_books, data_dir):
    settings = DataSettings(source="tiny_books", data_dir=data_dir, test_split="validation")
    found = open_documents(settings, "train")
    assert sorted(found.text(i).decode() for i in range(30)) == sorted(f"book {n} of 30 " * 20 for n in range(30))
    assert found.identity == "tiny_books/2.1.0[train].document"
    settings = DataSettings(source="tiny_books:2.1.0", data_dir=data_dir, feature="summary")
    summaries = open_documents(settings, "train[:10%]")
    assert sorted(summaries.text(i)[:4] for i in range(3)) == [b"sum "] * 3
    assert len(summaries.records) == 3
    assert bytes(next(open_stream(settings, **SIZES)).tokens[0].astype(np.uint8)).startswith(b"sum ")


@pytest.mark.parametrize(
    "source, fields, split, told",
    [
        ("tiny_books", {}, "test", names("tiny_books/2.1.0", "'test'", "train, validation")),
        ("tiny_books", {"feature": "year"}, "train", names("'year'", "document, summary")),
        ("tiny_bookz", {}, "train", "'tiny_bookz'"),
        ("python_stdlip", {}, "train", names("python_stdlip", "python_stdlib")),
        ("gov_reports", {}, "train", r"gov_report\?"),
        ("gov_report/none", {}, "train", "BuilderConfig none"),
        ("kaggle:titanic", {}, "train", "kaggle:titanic"),
        ("../../etc", {}, "train", r"\.\./\.\./etc"),
        ("local_text:/no/such/place", {}, "train", "/no/such/place"),
        ("python_docs", {}, "train[:5000%]", r"'train\[:5000%\]'"),
        ("python_docs", {}, "train[:0%]", r"'train\[:0%\]'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(source, fields, split, told, tiny_books, data_dir):
    with pytest.raises(ValueError, match=told):
        open_documents(DataSettings(source=source, data_dir=data_dir, **fields), split)


def test_datasets_that_lose_rows_or_need_tensorflow_are_refused(tiny_books, tmp_path):
    """TFDS reads back 200 of 500 rows that it wrote as parquet."""
    copy = tmp_path / "tiny_books" / "2.1.0"
    copy.mkdir(parents=True)
    for path in Path(tiny_books.data_path).iterdir():
        (copy / path.name.replace("array_record", "parquet")).write_bytes(path.read_bytes())
    info = json.loads((copy / "dataset_info.json").read_text())
    text = json.dumps(info | {"fileFormat": "parquet"}).replace("array_record", "parquet")
    (copy / "dataset_info.json").write_text(text)
    with pytest.raises(ValueError, match=names("parquet", "data_dir")):
        open_documents(DataSettings(source="tiny_books", data_dir=str(tmp_path)), "train")


def test_without_a_network_a_dataset_is_refused_by_name(tmp_path, monkeypatch):
    def down(*args, **kwargs):
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setattr(tfds.core.GeneratorBasedBuilder, "_download_and_prepare", down)
    with pytest.raises(ValueError, match=r"tiny_shakespeare/1\.0\.0.*no route to host$"):
        open_documents(DataSettings(source="tiny_shakespeare", data_dir=str(tmp_path)), "train")


@pytest.mark.parametrize(
    "fields, sizes, told",
    [
        ({"lanes": 3}, {}, names("batch=2", "lanes=3")),
        ({"lanes": 20}, {"batch": 20}, names("lanes=20", "19 documents", "lanes=1")),
        ({}, {"length": 3400}, names("3401", "length")),
        ({"tokenizer": "model"}, {}, 'tokenizer="bytes"'),
        ({}, {"rows": slice(2, 4)}, "rows"),
        ({}, {"rows": range(0, 2, 2)}, "rows"),
        ({}, {"seed": -1}, "seed=-1"),
        ({}, {"length": 0}, "length=0"),
    ],
)
def test_what_makes_no_batches_is_refused(fields, sizes, told, texts, data_dir):
    settings = DataSettings(source=f"local_text:{texts}", data_dir=data_dir, **fields)
    with pytest.raises(ValueError, match=told):
        open_stream(settings, **SIZES | sizes)
