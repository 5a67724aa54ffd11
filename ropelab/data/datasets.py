"""Datasets of TensorFlow Datasets, found by name and prepared when they are not yet, as array_record files.

TFDS writes a dataset into a folder of its own and renames that at the end. So a process that is killed leaves nothing
that could be taken for a dataset; of several that prepare the same at once the first to rename wins, and the others
find a folder in the way and read what is in it.
"""

import contextlib
import importlib
import os
import re
from collections.abc import Iterator
from typing import Any

from google import protobuf

from ropelab.data.documents import Document, Library, silence_output
from ropelab.spec import nearest

# TFDS finds its older datasets by importing these after others, and stops at the first that wants TensorFlow:
# gov_report, wikipedia and 80 more would not be found.
_TEXT_MODULES = ("text", "summarization", "question_answering", "text_simplification", "translate")
_ARRAY_RECORD = "array_record"
_NAME = re.compile(r"\w+(/[\w.+\-]+)?(:[\d.*]+)?", re.ASCII)  # without namespaces, whose code comes from elsewhere


def find_builder(source: str, data_dir: str | None, own: tuple[str, ...]) -> Any:
    """TFDS's builder of a dataset that it knows, or that lies prepared in `data_dir`.

    Raises:
        ValueError: for a name that means nothing, with the nearest that does.
    """

    for module in _TEXT_MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(f"tensorflow_datasets.{module}")
    if _NAME.fullmatch(source):
        try:
            return tfds.builder(source, data_dir=data_dir)
        except tfds.core.DatasetNotFoundError:
            pass
        except (ValueError, AssertionError, RuntimeError) as error:
            raise ValueError(f"source={source!r}: {_first_line(error)}") from error
    known = (*own, *tfds.list_builders(with_community_datasets=False))
    raise ValueError(
        f"unknown source {source!r}.{nearest(re.split('[/:(]', source)[0], known)} It is {', '.join(own)}, "
        'the name of a text dataset of TensorFlow Datasets, or a task such as "Copy(symbols=16)"'
    )


def prepare(builder: Any, *, quiet: bool) -> Any:
    """A builder of the same data, its files written first if they are not there.

    Raises:
        ValueError: if they cannot be had, or what is in their place is none.
    """

    with silence_output() if quiet else contextlib.nullcontext():
        if not builder.is_prepared():
            _write(builder)
        if not builder.is_prepared():
            raise ValueError(f"{builder.data_path} is in the way and is no dataset; remove it")
        return tfds.builder_from_directory(builder.data_path)


def _write(builder: Any) -> None:
    """Download if need be and write a dataset, unless another process was sooner."""

    name, options = builder.info.full_name, tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=options, file_format=_ARRAY_RECORD)
    except ImportError as error:
        raise ValueError(
            f"TFDS prepares {name} with what is not here: {_first_line(error)}; prepare it elsewhere"
        ) from error
    except OSError as error:
        if not builder.is_prepared():
            raise ValueError(f"cannot prepare {name}: {_first_line(error)}") from error


def open_records(builder: Any, split: str) -> Any:
    """The records of a split, read at random.

    Raises:
        ValueError: if there is no such split, or its files are of a kind that is not read.
    """
    name, kind, splits = builder.info.full_name, builder.info.file_format, builder.info.splits
    if kind is None or kind.value != _ARRAY_RECORD:
        raise ValueError(
            f"{name} lies in {builder.data_path} as {kind and kind.value}, which needs TensorFlow or loses rows; give "
            f"another data_dir, and it is prepared there as {_ARRAY_RECORD}"
        )
    if not any(end > begin for _, begin, end in locate_records(builder, split)):
        raise ValueError(f"split {split!r} of {name} has no documents; it has {', '.join(splits)}")
    try:
        return builder.as_data_source(split)
    except (ValueError, AssertionError) as error:
        raise ValueError(f"split {split!r} of {name}: {_first_line(error)}") from error


def locate_records(builder: Any, split: str) -> list[tuple[str, int, int]]:
    """Where the records of a split are: a file, the first of its records, and the one behind the last.

    Raises:
        ValueError: if there is no such split.
    """
    name, splits = builder.info.full_name, builder.info.splits
    if split.partition("[")[0].partition("+")[0] not in splits:
        raise ValueError(f"{name} has no split {split!r}; it has {', '.join(splits)}, and parts like train[:90%]")
    try:
        files = splits[split].file_instructions
    except (ValueError, AssertionError, KeyError) as error:
        raise ValueError(f"split {split!r} of {name}: {_first_line(error)}") from error
    return [(f.filename, f.skip, f.examples_in_shard if f.take < 0 and f.skip == 0 else f.skip + f.take) for f in files]


def _first_line(error: BaseException) -> str:
    """The first line of a message; TFDS's go on with all the datasets there are."""
    return str(error).strip().partition("\n")[0]


# TensorFlow Datasets, imported where protobuf is older than it wants, as it is on Colab.
#
# tensorflow-metadata 1.21, which TFDS imports, was generated by protobuf 6.31 and asks pip for no more than 4.25
# (https://github.com/tensorflow/metadata/issues/68). Colab has protobuf 5.29.6 beside it, which compares the versions
# and refuses; `tensorflow_datasets` then has no `core`. The messages themselves are read and written by 5.29.6 as well,
# so that the comparison, and nothing else, is left out while they are imported.
#
# Raises:
#     ValueError: on import, if another has imported TFDS before, and what is there is of no use.

_GENERATED_BY = (6, 31)
_DISABLE_CHECK = "TEMPORARILY_DISABLE_PROTOBUF_VERSION_CHECK"


@contextlib.contextmanager
def _skip_version_check() -> Iterator[None]:
    """Have protobuf import what a later one has generated."""
    before = os.environ.get(_DISABLE_CHECK)
    if tuple(map(int, protobuf.__version__.split(".")[:2])) < _GENERATED_BY:
        os.environ[_DISABLE_CHECK] = "true"
    try:
        yield
    finally:
        os.environ.pop(_DISABLE_CHECK, None)
        if before is not None:
            os.environ[_DISABLE_CHECK] = before


with _skip_version_check():
    import tensorflow_datasets as tfds

if not hasattr(tfds, "core"):
    raise ValueError(
        f"tensorflow_datasets was imported beside protobuf {protobuf.__version__}, which is too old for its "
        f"tensorflow-metadata, and is of no use; begin anew and import it later, or set {_DISABLE_CHECK}=true"
    )


# Text datasets of TensorFlow Datasets, made from files that are here: array_record files, without TensorFlow.
#
#     python_stdlib   every .py file of the running Python's standard library, installed packages left out
#     python_docs     the topics of Python's own help, `pydoc_data.topics`
#     local_text      a user's file, or all UTF-8 files of a folder
#
# A dataset is named after what it was made of (`python_stdlib/3.11.7-29924d58ddda`): other contents are another
# dataset, so that nothing stale is ever read. Train and test share no file (`ropelab.data.documents`).
#
# This module imports TensorFlow Datasets, about a second; `ropelab.data.documents` imports it when there is need.


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
        return {"train": make_examples(self.library.train), "test": make_examples(self.library.test)}

    def _generate_examples(self, documents: list[Document]) -> Iterator[tuple[str, dict[str, str]]]:
        return make_examples(documents)


def make_examples(documents: list[Document]) -> Iterator[tuple[str, dict[str, str]]]:
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
