"""One run of a sweep, as every executor starts it: its command, its log, and what became of it.

    python -m experiments.sweeps.one <folder of the sweep> <name> <retries>

run.json in the run's folder says what state it is in; log.txt has all that it printed. A run that is done is not run
again; one that was interrupted goes on, because every program here goes on when it is started again.
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

from experiments.sweeps import manifest
from ropelab.reporting import files
from ropelab.reporting.schema import TEXT, read_object

DONE, FAILED, RUNNING, STOPPED, WAITING = "done", "failed", "running", "stopped", "waiting"
FINAL = (2, 3)  # bad input, and a training that would come to nothing again: another attempt is the same
STOPS = (130, 143, -signal.SIGINT, -signal.SIGTERM)
LOOK = 0.1  # seconds
LOG, STATE, LOCK, STOP, PROGRAMS = "log.txt", "run.json", "run.lock", "stop", ".programs"


def state(folder: Path, name: str) -> dict[str, Any]:
    """What became of a run so far; one whose process is gone was stopped."""
    path = folder / name / STATE
    if not path.is_file():
        return {"state": WAITING, "attempts": 0}
    found = read_object(path, {"state": TEXT})
    if found["state"] == RUNNING and free(folder / name):
        found["state"] = STOPPED
    return found


def free(place: Path) -> bool:
    """Whether no process is at work on a run."""
    with (place / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def held(place: Path) -> Iterator[int]:
    """Hold a run's folder, once no other process does, and give the lock to hand on.

    The command inherits it, so that a run whose wrapper was killed is not begun a second time beside itself.
    """
    with (place / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def perform(folder: Path, name: str, *, retries: int = 0) -> str:
    """Run a run until it is done, has failed `retries` + 1 times, or is stopped; the state it comes to."""
    found = next(one for one in manifest.read(folder) if one["name"] == name)
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    with held(place) as lock:
        if state(folder, name)["state"] == DONE:
            return DONE
        became = STOPPED
        for attempt in range(1, retries + 2):
            if (place / STOP).exists():
                break
            began = time.time()
            note(place, found, RUNNING, attempt, began)
            code = executed(manifest.words(found, folder), place, lock, folder / PROGRAMS)
            became = DONE if code == 0 else STOPPED if code in STOPS else FAILED
            note(place, found, became, attempt, began, code=code)
            if became != FAILED or code in FINAL:
                break
    return became


def note(place: Path, found: manifest.Entry, became: str, attempt: int, began: float, **more: Any) -> None:
    told = {"id": found["id"], "state": became, "attempts": attempt, "seconds": round(time.time() - began, 1), **more}
    files.write_json(place / STATE, told)


def ask_to_stop(folder: Path, name: str) -> None:
    """Ask a run to save and end, or not to begin, by a file: one that is on another machine no signal reaches."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / STOP).touch()


def let_run(folder: Path, name: str) -> None:
    """Take back that a run was asked to stop."""
    (folder / name / STOP).unlink(missing_ok=True)


def executed(words: list[str], place: Path, lock: int, programs: Path) -> int:
    """The exit code of a command, its output at the end of the log. Asked to stop, it passes that on and waits.

    Args:
        programs: where jax keeps what it compiled, unless the environment names another place: the seeds of an arm
            are one program, and of the 27 seconds in which a small training starts and ends compiling is 15.
    """
    kept = {"JAX_COMPILATION_CACHE_DIR": str(programs), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3"}
    with (place / LOG).open("ab") as file:
        process = subprocess.Popen(
            words, stdout=file, stderr=subprocess.STDOUT, cwd=manifest.ROOT, pass_fds=(lock,), env=kept | os.environ
        )
        before = {number: signal.signal(number, lambda n, _: process.send_signal(n)) for number in asked()}
        try:
            while process.poll() is None and not (place / STOP).exists():
                time.sleep(LOOK)
            if process.poll() is None:
                process.terminate()
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def asked() -> tuple[signal.Signals, ...]:
    """The signals that are passed on; none outside the main thread, which alone may listen."""
    main = threading.current_thread() is threading.main_thread()
    return (signal.SIGTERM, signal.SIGINT) if main else ()


def last_lines(folder: Path, name: str, count: int = 5) -> str:
    """The end of a run's log, progress bars left out."""
    path = folder / name / LOG
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [line.rpartition("\r")[2].rstrip() for line in text.splitlines()]
    return "\n".join([line for line in lines if line][-count:])


if __name__ == "__main__":
    sys.exit({DONE: 0, FAILED: 1, STOPPED: 143}[perform(Path(sys.argv[1]), sys.argv[2], retries=int(sys.argv[3]))])
