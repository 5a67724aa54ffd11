"""Outside formats ⇄ parameters and encodings."""

from ropelab.checkpoints import knobs
from ropelab.checkpoints.errors import CheckpointError

__all__ = ["CheckpointError", "knobs"]
