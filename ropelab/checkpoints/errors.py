"""The one error of this package."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read as what it claims to be; the message names the file and the remedy."""
