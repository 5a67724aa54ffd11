"""Text datasets of TensorFlow Datasets, made from files that are here: array_record files, without TensorFlow.

    python_stdlib   every .py file of the running Python's standard library, installed packages left out
    python_docs     the topics of Python's own help, `pydoc_data.topics`
    local_text      a user's file, or all UTF-8 files of a folder

A dataset is named after what it was made of (`python_stdlib/3.11.7-29924d58ddda`): other contents are another dataset,
so that nothing stale is ever read. Train and test share no file (`ropelab.data.files`).

This module imports TensorFlow Datasets, about a second; `ropelab.data.documents` imports it when there is need.
"""

from collections.abc import Iterator

from ropelab.data.files import Document, Library
from ropelab.data.tfds_import import tfds


class Texts(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Documents that are divided already, each a text and where it came from."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, library: Library, data_dir: str | None) -> None:
        self.library = library
        super().__init__(data_dir=data_dir, config=tfds.core.BuilderConfig(name=library.label))

    def _info(self) -> tfds.core.DatasetInfo:
        texts = tfds.features.FeaturesDict({"text": tfds.features.Text(), "name": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, description=type(self).__doc__, features=texts)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager
        return {"train": examples(self.library.train), "test": examples(self.library.test)}

    def _generate_examples(self, documents: list[Document]) -> Iterator[tuple[str, dict[str, str]]]:
        return examples(documents)


def examples(documents: list[Document]) -> Iterator[tuple[str, dict[str, str]]]:
    """A key and a record a document; those that are not UTF-8 are passed over."""
    for document in documents:
        text = document.read()
        if text is not None:
            yield document.name, {"text": text, "name": document.name}


class PythonStdlib(Texts, skip_registration=True):
    """Python's standard library, a document a file."""

    name = "python_stdlib"


class PythonDocs(Texts, skip_registration=True):
    """Python's help, a document a topic."""

    name = "python_docs"


class LocalText(Texts, skip_registration=True):
    """A user's own text."""

    name = "local_text"
