"""The arms of a swap experiment: the unchanged model first, the unchanged model on chopped text second, then
whatever is plugged in. Without fine-tuning few extensions beat the second, and a reader must see that."""

from typing import NamedTuple

import numpy as np

from ropelab.encodings.rotary import Rotary
from ropelab.models.module import Model

UNCHANGED = "unchanged"
CHOPPED = f"{UNCHANGED}, chopped at"


class Variant(NamedTuple):
    """One line of the table.

    Attributes:
        name: as printed: "unchanged", "unchanged, chopped at 8192", or the spec as it was asked for.
        model: what runs.
        window: read the text in separate pieces of this many tokens, or None.
    """

    name: str
    model: Model
    window: int | None = None


def make_baselines(original: Model, longest: int) -> list[Variant]:
    """The arms that every table begins with: the model as it is, and on chopped text where `longest` is beyond its
    trained length; on shorter texts both are the same."""
    trained = original.config.trained_length
    chopped = [Variant(f"{CHOPPED} {trained}", original, trained)] if 1 < trained < longest else []
    return [Variant(UNCHANGED, original), *chopped]


def group_lengths(arm: Variant, lengths: tuple[int, ...]) -> dict[int, tuple[int, ...]]:
    """Which lengths one pass answers: the pass's length → the lengths that are its beginnings.

    A causal model whose encoding does not look at the length scores the beginning of a text as it scores a
    shorter text; a length-dependent one does so among the lengths that get the same frequencies.
    """
    groups: dict[object, list[int]] = {}
    for length in sorted(lengths):
        groups.setdefault(length_signature(arm, length), []).append(length)
    return {max(group): tuple(group) for group in groups.values()}


def length_signature(arm: Variant, length: int) -> object:
    """Equal for lengths at which the arm treats equal positions equally."""
    encoding = arm.model.wiring.encoding
    if not encoding.depends_on_length or arm.window is not None:
        return None
    if not isinstance(encoding, Rotary):
        return length
    inv_freq, amplitude = encoding.frequencies(arm.model.config.head_dim, length)
    return np.asarray(inv_freq).tobytes(), float(amplitude)
