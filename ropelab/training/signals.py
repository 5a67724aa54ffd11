"""SIGTERM, SIGINT and SIGHUP: the first asks a training to save its last finished step and end, a second ends it.

The step under way is finished first, so the answer takes as long as a step and a save do. SIGHUP comes from a terminal
that was closed; under nohup it stays ignored. Orbax installs no handler in a single process, so without this a
preempted Colab or TPU VM loses all since its last checkpoint.
"""

import signal
from types import FrameType, TracebackType
from typing import Any

EXIT = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}


class Stopped(Exception):
    """The training was asked to end and has saved.

    Attributes:
        code: what a shell expects of a process that ended on this signal.
    """

    def __init__(self, received: signal.Signals, step: int):
        told = (
            f"saved step {step}; the same command goes on from there" if step else "no step was done, nothing is saved"
        )
        super().__init__(f"{received.name}: {told}")
        self.code = EXIT[received]


class Listening:
    """`with Listening() as heard:` – `heard.signal` is the signal that came, None as long as none has.

    Only the main thread can listen; in another one, as in some notebooks, signals are left alone.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signal = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def __enter__(self) -> "Listening":
        for number in EXIT:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            try:
                self._before[number] = signal.signal(number, self._hear)
            except ValueError:  # not the main thread
                break
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()
