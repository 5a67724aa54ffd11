"""Deprecated alias of `ropelab.spec`, for encodings and patterns that were written for ropelab 0.1."""

import warnings

from ropelab.spec import Spec, at_least, parse, require, spec
from ropelab.spec import iterate_specs as parts

__all__ = ["Spec", "at_least", "parse", "parts", "require", "spec"]

warnings.warn("ropelab.encodings.specs is now ropelab.spec; import from there", DeprecationWarning, stacklevel=2)
