"""One run of a sweep, as every executor starts it: its command, its log and its state.

    python -m ropelab.cli.sweeps.worker <folder of the sweep> <name> <retries>

run.json in the run's folder has its state, log.txt its output. A finished run is not repeated; an interrupted one
resumes, because every command resumes when it is started again.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ropelab.cli.sweeps import manifest
from ropelab.reporting import files
from ropelab.reporting.run_files import TEXT, read_object

DONE, FAILED, RUNNING, STOPPED, WAITING = "done", "failed", "running", "stopped", "waiting"
_FINAL_CODES = (2, 3)  # bad input and a training that diverged: another attempt would fail as well
_STOP_CODES = (130, 143, -signal.SIGINT, -signal.SIGTERM)
_POLL = 0.1  # seconds
_LOG, _STATE, _LOCK, _STOP, _PROGRAMS = "log.txt", "run.json", "run.lock", "stop", ".programs"


def read_state(folder: Path, name: str) -> dict[str, Any]:
    """Read the state of a run; one whose process has disappeared was stopped."""
    path = folder / name / _STATE
    if not path.is_file():
        return {"state": WAITING, "attempts": 0}
    found = read_object(path, {"state": TEXT})
    if found["state"] == RUNNING and _is_free(folder / name):
        found["state"] = STOPPED
    return found


def perform(folder: Path, name: str, *, retries: int = 0) -> str:
    """Run a run until it is done, has failed `retries` + 1 times, or is stopped; return its state."""
    entry = next(one for one in manifest.read(folder) if one["name"] == name)
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    with _lock_run(place) as lock:
        if read_state(folder, name)["state"] == DONE:
            return DONE
        state = STOPPED
        for attempt in range(1, retries + 2):
            if (place / _STOP).exists():
                break
            start = time.time()
            _write_state(place, entry, RUNNING, attempt, start)
            code = _execute(manifest.command_words(entry, folder), place, lock, folder / _PROGRAMS)
            state = DONE if code == 0 else STOPPED if code in _STOP_CODES else FAILED
            _write_state(place, entry, state, attempt, start, code=code)
            if state != FAILED or code in _FINAL_CODES:
                break
    return state


def request_stop(folder: Path, name: str) -> None:
    """Request a run to save and stop, or not to begin, by a file: a signal does not reach another machine."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / _STOP).touch()


def clear_stop(folder: Path, name: str) -> None:
    """Withdraw the request to stop a run."""
    (folder / name / _STOP).unlink(missing_ok=True)


def read_last_lines(folder: Path, name: str, count: int = 5) -> str:
    """Return the end of a run's log without progress bars."""
    path = folder / name / _LOG
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [line.rpartition("\r")[2].rstrip() for line in text.splitlines()]
    return "\n".join([line for line in lines if line][-count:])


def _is_free(place: Path) -> bool:
    """Return whether no process holds the lock of a run."""
    with (place / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def _lock_run(place: Path) -> Iterator[int]:
    """Wait for the lock of a run's folder and yield its file descriptor.

    The command inherits it, so a run whose wrapper was killed is not started a second time next to itself.
    """
    with (place / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def _write_state(place: Path, entry: manifest.Entry, state: str, attempt: int, start: float, **more: Any) -> None:
    seconds = round(time.time() - start, 1)
    files.write_json(
        place / _STATE, {"id": entry["id"], "state": state, "attempts": attempt, "seconds": seconds, **more}
    )


def _execute(words: list[str], place: Path, lock: int, programs: Path) -> int:
    """Run a command, append its output to the log, and return its exit code. A request to stop is forwarded to it.

    Args:
        programs: jax's compilation cache, unless the environment names another: the seeds of a variant are one program,
            and compilation is 15 of the 27 seconds that a small training needs to start and end.
    """
    cache = {"JAX_COMPILATION_CACHE_DIR": str(programs), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3"}
    with (place / _LOG).open("ab") as file:
        process = subprocess.Popen(
            words, stdout=file, stderr=subprocess.STDOUT, cwd=manifest.ROOT, pass_fds=(lock,), env=cache | os.environ
        )
        handlers = {n: signal.signal(n, lambda n, _: process.send_signal(n)) for n in _forwarded_signals()}
        try:
            while process.poll() is None and not (place / _STOP).exists():
                time.sleep(_POLL)
            if process.poll() is None:
                process.terminate()
            return process.wait()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _forwarded_signals() -> tuple[signal.Signals, ...]:
    """Return the signals to forward; none outside the main thread, where Python allows no handlers."""
    is_main = threading.current_thread() is threading.main_thread()
    return (signal.SIGTERM, signal.SIGINT) if is_main else ()


if __name__ == "__main__":
    sys.exit({DONE: 0, FAILED: 1, STOPPED: 143}[perform(Path(sys.argv[1]), sys.argv[2], retries=int(sys.argv[3]))])
