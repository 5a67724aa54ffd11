"""Exceptions of ropelab."""

_MAX_MESSAGE = 1000  # characters of a message: it may quote a file, which may be 100 KB


class CheckpointError(ValueError):
    """A checkpoint or rope setting that cannot be read or written; the message names the file and the remedy.

    Messages longer than `_MAX_MESSAGE` characters are cut in the middle.
    """

    def __init__(self, message: str) -> None:
        is_long = len(message) > _MAX_MESSAGE
        super().__init__(
            f"{message[: _MAX_MESSAGE * 2 // 3]} … {message[-_MAX_MESSAGE // 4 :]}" if is_long else message
        )
