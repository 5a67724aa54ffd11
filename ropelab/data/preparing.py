"""Datasets of TensorFlow Datasets, found by name and prepared when they are not yet, as array_record files.

TFDS writes a dataset into a folder of its own and renames that at the end. So a process that is killed leaves nothing
that could be taken for a dataset; of several that prepare the same at once the first to rename wins, and the others
find a folder in the way and read what is in it.
"""

import contextlib
import importlib
import io
import re
from collections.abc import Iterator
from typing import Any

from ropelab.spec import suggest_name

# TFDS finds its older datasets by importing these after others, and stops at the first that wants TensorFlow:
# gov_report, wikipedia and 80 more would not be found.
TEXT_MODULES = ("text", "summarization", "question_answering", "text_simplification", "translate")
ARRAY_RECORD = "array_record"
NAME = re.compile(r"\w+(/[\w.+\-]+)?(:[\d.*]+)?", re.ASCII)  # without namespaces, whose code comes from elsewhere


def by_name(source: str, data_dir: str | None, own: tuple[str, ...]) -> Any:
    """TFDS's builder of a dataset that it knows, or that lies prepared in `data_dir`.

    Raises:
        ValueError: for a name that means nothing, with the nearest that does.
    """
    from ropelab.data.tfds_import import tfds

    for module in TEXT_MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(f"tensorflow_datasets.{module}")
    if NAME.fullmatch(source):
        try:
            return tfds.builder(source, data_dir=data_dir)
        except tfds.core.DatasetNotFoundError:
            pass
        except (ValueError, AssertionError, RuntimeError) as error:
            raise ValueError(f"source={source!r}: {short(error)}") from error
    known = (*own, *tfds.list_builders(with_community_datasets=False))
    raise ValueError(
        f"unknown source {source!r}.{suggest_name(re.split('[/:(]', source)[0], known)} It is {', '.join(own)}, "
        'the name of a text dataset of TensorFlow Datasets, or a task such as "Copy(symbols=16)"'
    )


def prepared(builder: Any, *, quiet: bool) -> Any:
    """A builder of the same data, its files written first if they are not there.

    Raises:
        ValueError: if they cannot be had, or what is in their place is none.
    """
    from ropelab.data.tfds_import import tfds

    with quietly() if quiet else contextlib.nullcontext():
        if not builder.is_prepared():
            write(builder)
        if not builder.is_prepared():
            raise ValueError(f"{builder.data_path} is in the way and is no dataset; remove it")
        return tfds.builder_from_directory(builder.data_path)


def write(builder: Any) -> None:
    """Download if need be and write a dataset, unless another process was sooner."""
    from ropelab.data.tfds_import import tfds

    name, options = builder.info.full_name, tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=options, file_format=ARRAY_RECORD)
    except ImportError as error:
        raise ValueError(f"TFDS prepares {name} with what is not here: {short(error)}; prepare it elsewhere") from error
    except OSError as error:
        if not builder.is_prepared():
            raise ValueError(f"cannot prepare {name}: {short(error)}") from error


def records(builder: Any, split: str) -> Any:
    """The records of a split, read at random.

    Raises:
        ValueError: if there is no such split, or its files are of a kind that is not read.
    """
    name, kind, splits = builder.info.full_name, builder.info.file_format, builder.info.splits
    if kind is None or kind.value != ARRAY_RECORD:
        raise ValueError(
            f"{name} lies in {builder.data_path} as {kind and kind.value}, which needs TensorFlow or loses rows; give "
            f"another data_dir, and it is prepared there as {ARRAY_RECORD}"
        )
    if not any(end > begin for _, begin, end in places(builder, split)):
        raise ValueError(f"split {split!r} of {name} has no documents; it has {', '.join(splits)}")
    try:
        return builder.as_data_source(split)
    except (ValueError, AssertionError) as error:
        raise ValueError(f"split {split!r} of {name}: {short(error)}") from error


def places(builder: Any, split: str) -> list[tuple[str, int, int]]:
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
        raise ValueError(f"split {split!r} of {name}: {short(error)}") from error
    return [(f.filename, f.skip, f.examples_in_shard if f.take < 0 and f.skip == 0 else f.skip + f.take) for f in files]


def short(error: BaseException) -> str:
    """The first line of a message; TFDS's go on with all the datasets there are."""
    return str(error).strip().partition("\n")[0]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without TFDS's progress bars, what it prints, and its warnings about names that it does not know."""
    from absl import logging

    verbosity, nowhere = logging.get_verbosity(), io.StringIO()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
    finally:
        logging.set_verbosity(verbosity)
