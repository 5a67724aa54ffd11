"""Outside formats ⇄ parameters and encodings."""

from ropelab import rope_settings
from ropelab.errors import CheckpointError

__all__ = ["CheckpointError", "knobs"]
