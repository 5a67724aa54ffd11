"""The one door to documents: by name, prepared when they are not yet, read at random.

They lie in array_record files of TensorFlow Datasets, which needs no TensorFlow for those. Its tfrecord files would,
and its parquet files lose rows (of 500 written, 200 are read): neither is read here.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ropelab.data import files
from ropelab.data.settings import DataSettings
from ropelab.data.synthetic import task_of

LOCAL = "local_text"
OWN = ("python_stdlib", "python_docs", f"{LOCAL}:/path")
LIKELY = ("text", "document", "article", "reports", "description", "input")


class Documents(NamedTuple):
    """Texts of a split.

    Attributes:
        records: each a mapping of which `feature` is the text, in UTF-8.
        identity: names the data, its version or contents, and the split.
    """

    records: Sequence[Any]
    feature: str
    identity: str

    def text(self, index: int) -> bytes:
        return self.records[index][self.feature]


def open_documents(settings: DataSettings, split: str) -> Documents:
    """The documents of a split, prepared first if need be: a few seconds for files, a download for TFDS's own.

    Raises:
        ValueError: if there is no such data, split or text, with the nearest right name.
    """
    from ropelab.data import preparing

    builder = builder_of(settings)
    records = preparing.records(builder, split)
    feature = text_feature(builder.info, settings.feature)
    return Documents(records, feature, f"{builder.info.full_name}[{split}].{feature}")


def builder_of(settings: DataSettings) -> Any:
    """TFDS's builder of the data, prepared."""
    from ropelab.data import builders, preparing

    data_dir = os.path.expanduser(settings.data_dir) or None
    kind, _, place = settings.source.partition(":")
    with preparing.quietly():
        if settings.source == "python_stdlib":
            builder = builders.PythonStdlib(files.python_stdlib(), data_dir)
        elif settings.source == "python_docs":
            builder = builders.PythonDocs(files.python_docs(), data_dir)
        elif kind == LOCAL:
            builder = builders.LocalText(files.local_text(place), data_dir)
            check_outside(Path(place), Path(builder.data_path))
        else:
            builder = preparing.by_name(settings.source, data_dir, OWN)
    return preparing.prepared(builder, quiet=isinstance(builder, builders.Texts))


def check_apart(settings: DataSettings) -> None:
    """Raise `ValueError` if documents are trained on and measured on; a task has other examples for each."""
    from ropelab.data import preparing

    if task_of(settings.source) is not None:
        return
    builder = builder_of(settings)
    trained, measured = (preparing.places(builder, split) for split in (settings.split, settings.test_split))
    for file, begin, end in trained:
        if any(file == other and begin < stop and start < end for other, start, stop in measured):
            raise ValueError(
                f"split={settings.split!r} is trained on and test_split={settings.test_split!r} is measured on, and "
                "they share documents; give others, or held.tokens=0 to measure nothing"
            )


def check_outside(place: Path, prepared: Path) -> None:
    """Raise `ValueError` if prepared files lie among those they are made of: each time there would be more."""
    if place.expanduser().resolve() in prepared.resolve().parents:
        raise ValueError(f"what is made of {place} would lie in it, at {prepared}; give a data_dir outside")


def text_feature(info: Any, wanted: str) -> str:
    """The feature of a dataset that is its text: the one that is wanted, the only one, or the likeliest.

    Raises:
        ValueError: if there is none, or no telling which.
    """
    from ropelab.data.tfds_import import tfds

    texts = sorted(name for name, kind in info.features.items() if isinstance(kind, tfds.features.Text))
    if wanted in texts:
        return wanted
    likely = texts if len(texts) == 1 else [name for name in LIKELY if name in texts]
    if wanted or not likely:
        which = f"it has {', '.join(texts)}; name one by feature=" if texts else "it has none"
        raise ValueError(f"{info.full_name}: no text {wanted!r}; {which}")
    return likely[0]
