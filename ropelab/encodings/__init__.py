"""Position → (q', k', combine): pure functions and the frozen values that name them."""

from typing import TYPE_CHECKING

from ropelab.encodings import registry
from ropelab.encodings.base import Context, Encoding
from ropelab.encodings.registry import *
from ropelab.encodings.registry import ALL, parse
from ropelab.encodings.rotary import Rotary
from ropelab.encodings.scoring import scores

__all__ = ["ALL", "Context", "Encoding", "Rotary", "parse", "scores"]
if not TYPE_CHECKING:  # every encoding of the registry, and its pure functions
    __all__ += registry.__all__
