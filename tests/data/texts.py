"""A folder of texts whose documents can be told apart, and windows put back together."""

from pathlib import Path

import numpy as np

from ropelab.data.batch import Batch

LENGTHS = (0, 1, 7, 31, 32, 33, 65, 98, 131, 200, 263, 400, 31, 64, 97, 150, 5, 329, 40, 12)
LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz \n", np.uint8)


def folder(place: Path, lengths: tuple[int, ...] = LENGTHS) -> Path:
    """Files of random letters, the last line of which is the number of the file; `lengths` are those of the rest."""
    place.mkdir()
    for number, length in enumerate(lengths):
        rng = np.random.default_rng(number)
        (place / f"{number:03}.txt").write_bytes(rng.choice(LETTERS, length).tobytes() + b"\n%03d" % number)
    return place


def windows(batch: Batch) -> np.ndarray:
    """The T + 1 tokens of each row."""
    return np.concatenate([batch.tokens, batch.targets[:, -1:]], axis=1)


def same(a: Batch, b: Batch) -> bool:
    return all(x.dtype == y.dtype and x.shape == y.shape and (x == y).all() for x, y in zip(a, b, strict=True))
