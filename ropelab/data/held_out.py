"""Held-out windows: tokens of the test split, each predicted once at every length.

    row k of a block: tokens x_{kT}, ..., x_{kT + T - 1}, targets x_{kT + 1}, ..., x_{kT + T}

A block is a stretch of text that is cut into windows without gaps, so each of its tokens except the first is a target
exactly once, for any T. Blocks are spaced evenly over the split, because its first tokens may be one unusual file: in
Python's standard library they are 121 kB of numbers in test_statistics.py.
"""

import numpy as np

from ropelab.data.batch import Batch, make_batch
from ropelab.data.documents import Documents, open_documents
from ropelab.data.positions import Consecutive, PerDocument, Positions
from ropelab.data.settings import Coder, DataSettings, Tokenizer, make_coder
from ropelab.data.synthetic import TEST, make_examples, parse_task

_MAX_SPREAD = 32  # at most this many times the evaluated text is tokenized


def load_held_out(
    settings: DataSettings, *, length: int, tokens: int, block: int = 0, tokenizer: Tokenizer | None = None
) -> Batch:
    """Load `tokens` tokens of the test split as rows of `length` predictions.

    Args:
        block: predictions per block. Use the same value, the longest length, for all lengths that are compared. 0 takes
            the first tokens of the split as one block.

    Returns:
        ceil(block / length) rows for each of tokens // block blocks, or of fewer blocks if the split is shorter; the
        last row of a block is padded with weight 0 and segment -1. Positions are those of the text; sampled positions
        are only for training.

    Raises:
        ValueError: if there is no such data, or fewer than two tokens are available or requested.
    """
    if tokens < 2 or length < 1:
        raise ValueError(f"tokens={tokens}, length={length}: use at least 2 tokens and a length of at least 1")
    text, task = make_coder(settings.tokenizer, tokenizer), parse_task(settings.source)
    if task is not None:
        task.check(length + 1, text)
        return make_examples(task, _eval_positions(settings), range(-(-tokens // length)), length, (0, TEST), text)
    documents = open_documents(settings, settings.test_split)
    ids, owner = _read_tokens(documents, tokens * (_MAX_SPREAD if block else 1), text)
    if len(ids) < 2:
        raise ValueError(f"{documents.identity} has {len(ids)} tokens, too few to predict one; use more text")
    stretches = _spread_blocks(len(ids), tokens // block, block) if block else np.arange(min(tokens, len(ids)))[None]
    windows, segments = _cut_windows(ids[stretches], length, 0), _cut_windows(owner[stretches], length, -1)
    segments = segments - np.where(segments < 0, 0, segments[:, :1])
    positions = _eval_positions(settings).place(segments[:, :-1], np.random.default_rng)
    return make_batch(windows, segments, positions, settings.separate_documents)


def _spread_blocks(found: int, count: int, block: int) -> np.ndarray:
    """Return the token indices [blocks, block + 1] of evenly spaced blocks that do not overlap."""
    block = min(block, found - 1)
    fitting = max(1, min(count, found // (block + 1)))
    starts = np.linspace(0, found - block - 1, fitting).astype(np.int64)
    return starts[:, None] + np.arange(block + 1)


def _cut_windows(blocks: np.ndarray, length: int, filling: int) -> np.ndarray:
    """Cut [blocks, n + 1] into windows [rows, length + 1] that share one token; the last of a block is padded."""
    count = -(-(blocks.shape[1] - 1) // length)
    missing = count * length + 1 - blocks.shape[1]
    padded = np.pad(blocks, ((0, 0), (0, missing)), constant_values=filling)
    places = np.arange(count)[:, None] * length + np.arange(length + 1)
    return padded[:, places].reshape(-1, length + 1)


def _eval_positions(settings: DataSettings) -> Positions:
    """Return the positions for evaluation: samplers that draw random numbers are replaced by consecutive positions."""
    return settings.positions if isinstance(settings.positions, PerDocument) else Consecutive()


def _read_tokens(documents: Documents, count: int, text: Coder) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `count` token ids of the documents in their stored order, and the document of each."""
    parts, total = [], 0
    for index in range(len(documents.records)):
        parts.append(text.document(documents.text(index)))
        total += len(parts[-1])
        if total >= count:
            break
    owner = np.repeat(np.arange(len(parts), dtype=np.int32), [len(p) for p in parts])
    return np.concatenate(parts)[:count], owner[:count]
