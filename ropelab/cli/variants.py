"""Parse variants of a model from flags: an encoding, a pattern, or both, with an optional label."""

import re
from collections.abc import Sequence
from typing import Any

from ropelab import attention
from ropelab import spec as specs
from ropelab.attention.patterns import CLASSES
from ropelab.encodings.user_module import parse_with_import
from ropelab.evaluation.variants import UNCHANGED

ANY_LENGTH = 2**20  # in place of a trained length that is not known yet
# a spec has no "=" before its bracket
_LABEL = re.compile(r"\s*(?P<label>[^=()/:]+?)\s*=\s*(?P<spec>[^=].*)", re.DOTALL)


def label_variants(texts: Sequence[str]) -> dict[str, str]:
    """Return the spec of each variant by its name: the label before an equals sign, or the spec itself.

    Raises:
        ValueError: for a duplicate name, or a label that is reserved for the unchanged model.
    """
    found: dict[str, str] = {}
    for text in texts:
        match = _LABEL.fullmatch(text)
        name, spec = (match["label"], match["spec"]) if match else (text, text)
        if name.startswith(UNCHANGED):
            raise ValueError(f"the label {name!r} is reserved for the unchanged model; choose another")
        if name in found:
            raise ValueError(f"two variants have the name {name!r}; leave one out, or label them")
        found[name] = spec
    return found


def parse_variant(text: str, trained_length: int = ANY_LENGTH) -> tuple[Any, Any]:
    """Parse an encoding, a pattern, or both joined by a plus: `NTK(alpha=2.0) + SlidingWindow(window=4096)`.

    A user's own encoding is written with its file: `my_encoding.py:Mine(a=1)`.

    Args:
        trained_length: the `original_length` of an encoding that leaves it out; 0 if the checkpoint does not say.
    """
    inherited = {"original_length": trained_length} if trained_length else {}
    parts = specs.split_list(text, "+")
    known = set(CLASSES)
    seen = [attention.parse(part) for part in parts if part.split("(")[0].strip() in known]
    encoded = [parse_with_import(part, inherited) for part in parts if part.split("(")[0].strip() not in known]
    if len(seen) > 1 or len(encoded) > 1:
        raise ValueError(
            f"the variant {text!r} has more than one encoding or more than one pattern; separate variants by ;"
        )
    return next(iter(encoded), None), next(iter(seen), None)


def parse_variants(encodings: str, patterns: str, trained_length: int = ANY_LENGTH) -> dict[str, tuple[Any, Any]]:
    """Parse variants and patterns; return encoding and pattern of each by its name, None for the model's own.

    Each pattern is combined with every variant that names none.
    """
    asked = {
        name: parse_variant(spec, trained_length)
        for name, spec in label_variants(specs.split_list(encodings, ";")).items()
    }
    also = {name: attention.parse(spec) for name, spec in label_variants(specs.split_list(patterns, ";")).items()}
    for name, pattern in also.items():
        asked |= {f"{n} + {name}": (encoding, pattern) for n, (encoding, own) in list(asked.items()) if own is None}
    return {name: (None, pattern) for name, pattern in also.items()} | asked
