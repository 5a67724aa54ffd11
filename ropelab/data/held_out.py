"""What is measured on: the first tokens of the test split, each of them predicted once.

    row k: tokens x_{kT}, ..., x_{kT + T - 1}, targets x_{kT + 1}, ..., x_{kT + T}

The windows lie one after another; every token but the first is a target once, whatever the length.
"""

import numpy as np

from ropelab.data.batch import Batch, from_windows
from ropelab.data.documents import Documents, open_documents
from ropelab.data.positions import Consecutive, PerDocument, Positions
from ropelab.data.settings import DataSettings
from ropelab.data.synthetic import TEST, examples, task_of
from ropelab.data.tokens import Coder, Tokenizer, coder


def held_out(settings: DataSettings, *, length: int, tokens: int, tokenizer: Tokenizer | None = None) -> Batch:
    """The first `tokens` tokens of the test split as rows of `length` predictions.

    Returns:
        a batch of ceil((tokens - 1) / length) rows, of fewer if the split is shorter; the last row is filled up with
        weight 0 and segment -1. Positions are those of the text: drawn ones are for training alone.

    Raises:
        ValueError: if there is no such data, or fewer than two tokens of it, or fewer are asked for.
    """
    if tokens < 2 or length < 1:
        raise ValueError(f"tokens={tokens}, length={length}: give at least 2 tokens and windows of at least 1")
    text, task = coder(settings.tokenizer, tokenizer), task_of(settings.source)
    if task is not None:
        task.check(length + 1, text)
        return examples(task, placed(settings), range(-(-tokens // length)), length, (0, TEST), text)
    documents = open_documents(settings, settings.test_split)
    ids, owner = beginning(documents, tokens, text)
    if len(ids) < 2:
        raise ValueError(f"{documents.identity} has {len(ids)} tokens, none of which follows another; give more text")
    count = -(-(len(ids) - 1) // length)
    missing = count * length + 1 - len(ids)
    ids, owner = np.pad(ids, (0, missing)), np.pad(owner, (0, missing), constant_values=-1)
    starts = np.arange(count)[:, None] * length + np.arange(length + 1)
    segments = owner[starts] - np.where(owner[starts] < 0, 0, owner[starts][:, :1])
    positions = placed(settings).place(segments[:, :-1], np.random.default_rng)
    return from_windows(ids[starts], segments, positions, settings.separate_documents)


def placed(settings: DataSettings) -> Positions:
    """Where tokens are said to stand when a model is measured: drawn positions are for training alone."""
    return settings.positions if isinstance(settings.positions, PerDocument) else Consecutive()


def beginning(documents: Documents, count: int, text: Coder) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` token ids of some documents, in the order they are stored in, and the document of each."""
    parts, total = [], 0
    for index in range(len(documents.records)):
        parts.append(text.document(documents.text(index)))
        total += len(parts[-1])
        if total >= count:
            break
    owner = np.repeat(np.arange(len(parts), dtype=np.int32), [len(p) for p in parts])
    return np.concatenate(parts)[:count], owner[:count]
