"""The one door to documents: by name, prepared when they are not yet, read at random.

Documents lie in array_record files of TensorFlow Datasets, which needs no TensorFlow for them. Its tfrecord files
would, and its parquet files lose rows (of 500 written, 200 are read), so that neither is read here.
"""

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ropelab.data import files
from ropelab.data.settings import DataSettings

OWN = {"python_stdlib": files.python_stdlib, "python_docs": files.python_docs}


class Documents(NamedTuple):
    """Texts of a split.

    Attributes:
        records: each a mapping of which `feature` is the text, as UTF-8 bytes.
        identity: names the data, its version and its contents.
    """

    records: Sequence[Any]
    feature: str
    identity: str


def open_documents(settings: DataSettings, split: str) -> Documents:
    """The documents of a split, prepared first if need be.

    Raises:
        ValueError: if there is no such data or split, with the nearest right name.
    """
    from ropelab.data import builders

    data_dir = settings.data_dir or None
    library = OWN[settings.source]()
    kind = {"python_stdlib": builders.PythonStdlib, "python_docs": builders.PythonDocs}[settings.source]
    with quietly():
        builder = kind(library.splits, label=library.label, data_dir=data_dir)
        builder.download_and_prepare()
        records = builder.as_data_source(split)
    return Documents(records, "text", f"{builder.info.full_name}[{split}]")


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without TFDS's progress bars, lines on standard output and warnings about names it does not know."""
    from absl import logging
    from tensorflow_datasets.core import utils

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    utils.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)
