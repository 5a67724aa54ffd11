"""Documents by name, prepared on first use and read at random.

Prepared documents are array_record files of TensorFlow Datasets, which are read without TensorFlow. Its tfrecord files
need TensorFlow, and its parquet files lose rows (of 500 written, 200 are read), so neither is supported.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ropelab.data import files
from ropelab.data.files import silence_output
from ropelab.data.settings import DataSettings
from ropelab.data.synthetic import parse_task

_LOCAL = "local_text"
_OWN_SOURCES = ("python_stdlib", "python_docs", f"{_LOCAL}:/path")
_TEXT_FEATURES = ("text", "document", "article", "reports", "description", "input")


class Documents(NamedTuple):
    """The texts of a split.

    Attributes:
        records: mappings whose item `feature` is the text, in UTF-8.
        feature: the name of the text feature.
        identity: names the data, its version or contents, and the split.
    """

    records: Sequence[Any]
    feature: str
    identity: str

    def text(self, index: int) -> bytes:
        """Return the text of a document."""
        return self.records[index][self.feature]


def open_documents(settings: DataSettings, split: str) -> Documents:
    """Open the documents of a split, preparing them first if needed.

    Preparing takes a few seconds for local files and a download for datasets of TFDS.

    Raises:
        ValueError: if there is no such data, split or text feature, with the nearest known name.
    """
    from ropelab.data import datasets

    builder = _prepare_builder(settings)
    records = datasets.open_records(builder, split)
    feature = _select_feature(builder.info, settings.feature)
    return Documents(records, feature, f"{builder.info.full_name}[{split}].{feature}")


def _prepare_builder(settings: DataSettings) -> Any:
    """Prepare the data and return its TFDS builder."""
    from ropelab.data import datasets

    data_dir = os.path.expanduser(settings.data_dir) or None
    kind, _, place = settings.source.partition(":")
    with silence_output():
        if settings.source == "python_stdlib":
            builder = datasets.PythonStdlib(files.list_python_stdlib(), data_dir)
        elif settings.source == "python_docs":
            builder = datasets.PythonDocs(files.list_python_docs(), data_dir)
        elif kind == _LOCAL:
            builder = datasets.LocalText(files.list_local_text(place), data_dir)
            _check_outside(Path(place), Path(builder.data_path))
        else:
            builder = datasets.find_builder(settings.source, data_dir, _OWN_SOURCES)
    return datasets.prepare(builder, quiet=isinstance(builder, datasets.Texts))


def check_disjoint(settings: DataSettings) -> None:
    """Raise `ValueError` if the train and test splits share documents; tasks always sample different examples."""
    from ropelab.data import datasets

    if parse_task(settings.source) is not None:
        return
    builder = _prepare_builder(settings)
    trained, measured = (datasets.locate_records(builder, split) for split in (settings.split, settings.test_split))
    for file, begin, end in trained:
        if any(file == other and begin < stop and start < end for other, start, stop in measured):
            raise ValueError(
                f"split={settings.split!r} and test_split={settings.test_split!r} share documents; use other splits, "
                "or held.tokens=0 to skip evaluation"
            )


def _check_outside(place: Path, prepared: Path) -> None:
    """Raise `ValueError` if the prepared files would be inside the folder that they are made of."""
    if place.expanduser().resolve() in prepared.resolve().parents:
        raise ValueError(f"the dataset made of {place} would be written into it, to {prepared}; use a data_dir outside")


def _select_feature(info: Any, wanted: str) -> str:
    """Return the text feature of a dataset: the requested one, the only one, or the most likely one.

    Raises:
        ValueError: if there is no text feature, or several unknown ones.
    """
    from ropelab.data.datasets import tfds

    texts = sorted(name for name, kind in info.features.items() if isinstance(kind, tfds.features.Text))
    if wanted in texts:
        return wanted
    likely = texts if len(texts) == 1 else [name for name in _TEXT_FEATURES if name in texts]
    if wanted or not likely:
        which = f"it has {', '.join(texts)}; select one with feature=" if texts else "it has none"
        raise ValueError(f"{info.full_name}: no text {wanted!r}; {which}")
    return likely[0]
