"""The one error of this package."""

_MAX_MESSAGE = 1000  # characters of a message: it may repeat what a file says, and that may be 100 KB


class CheckpointError(ValueError):
    """A checkpoint that cannot be read as what it claims to be; the message names the file and the remedy.

    A message beyond `LONGEST` characters is cut in the middle.
    """

    def __init__(self, message: str) -> None:
        cut = len(message) > _MAX_MESSAGE
        super().__init__(f"{message[: _MAX_MESSAGE * 2 // 3]} … {message[-_MAX_MESSAGE // 4 :]}" if cut else message)
