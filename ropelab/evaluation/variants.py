"""Variants of a model that are compared: the unchanged model, the unchanged model on chopped text, then swaps.

Without fine-tuning few extensions beat the second baseline, so every table has it.
"""

from typing import NamedTuple

import numpy as np

from ropelab.encodings.rotary import Rotary
from ropelab.models.module import Model

UNCHANGED = "unchanged"
CHOPPED = f"{UNCHANGED}, chopped at"


class Variant(NamedTuple):
    """A model to measure, and how its text is read.

    Attributes:
        name: as printed: "unchanged", "unchanged, chopped at 8192", a label, or the requested spec.
        model: the model with the encoding and pattern of the variant.
        window: tokens of the separate pieces in which the text is read; None for one piece.
    """

    name: str
    model: Model
    window: int | None = None


def make_baselines(original: Model, longest: int) -> list[Variant]:
    """Return the baselines of every table: the unchanged model, and it on text chopped at its trained length.

    The second is left out where `longest` is not beyond the trained length: both would be the same.
    """
    trained = original.config.trained_length
    chopped = [Variant(f"{CHOPPED} {trained}", original, trained)] if 1 < trained < longest else []
    return [Variant(UNCHANGED, original), *chopped]


def group_lengths(variant: Variant, lengths: tuple[int, ...]) -> dict[int, tuple[int, ...]]:
    """Return which lengths one pass answers: the length of the pass → the lengths that are its beginnings.

    A causal model whose encoding does not look at the length scores the beginning of a text as it scores a
    shorter text; a length-dependent one does so among the lengths that get the same frequencies.
    """
    groups: dict[object, list[int]] = {}
    for length in sorted(lengths):
        groups.setdefault(length_signature(variant, length), []).append(length)
    return {max(group): tuple(group) for group in groups.values()}


def length_signature(variant: Variant, length: int) -> object:
    """Return a value that is equal for lengths at which the variant treats equal positions equally."""
    encoding = variant.model.wiring.encoding
    if not encoding.depends_on_length or variant.window is not None:
        return None
    if not isinstance(encoding, Rotary):
        return length
    inv_freq, amplitude = encoding.frequencies(variant.model.config.head_dim, length)
    return np.asarray(inv_freq).tobytes(), float(amplitude)
