"""The process that reads fuzzed files, one after another, and says what became of each.

Started by `fuzz`, which kills it when a case takes too long. Lines of JSON on standard output; commands on standard
input: a format, a seed, the number of a case, and where to keep its folder or "".
"""

import json
import os
import random
import resource
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ALLOWANCE = 256 << 20  # bytes besides twice the size of the files
SLACK = 2 << 30  # of address space, which threads and arenas take without using it
FORBIDDEN = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pickle.find_class",
    "ctypes.dlopen",
)
TEMPLATES = [
    sys.executable,
    "-P",
    str(ROOT / "ropelab" / "checkpoints" / "template_process.py"),
]  # it limits itself to 256 MiB
BAIT = "open('ran', 'w').close()\nclass X: pass\n"


class Guard:
    """Sees what a case imports, executes or starts, by Python's audit events; processes are prevented."""

    def __init__(self) -> None:
        self.watched: tuple[str, ...] = ()
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.watched:
            return
        if event in ("subprocess.Popen", "os.posix_spawn") and list(args[1]) == TEMPLATES:
            return
        if event in FORBIDDEN:
            self.seen.append(f"{event} {args[0]!r}"[:200])
            raise RuntimeError(f"{event} while a file was read")
        if event == "exec":
            self.look(event, getattr(args[0], "co_filename", ""))
        elif event == "compile":
            self.look(event, args[1])
        elif event == "open" and str(os.fsdecode(args[0]) if isinstance(args[0], str | bytes) else "").endswith(
            (".py", ".pyc")
        ):
            self.look(event, args[0])
        elif event == "import" and args[1]:
            self.look(event, args[1])

    def look(self, event: str, name: Any) -> None:
        if isinstance(name, str | bytes) and name and not os.fsdecode(name).startswith("<"):
            path = os.path.abspath(os.path.expanduser(os.fsdecode(name)))
            if path.startswith(self.watched):
                self.seen.append(f"{event} {path}")


def memory(field: str) -> int:
    """A line of /proc/self/status in bytes: VmRSS, VmHWM (the most there was), VmSize."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) << 10
    raise OSError(f"/proc/self/status has no {field}")


def forget_peak() -> None:
    """Have VmHWM begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def foreign(error: BaseException, documented: tuple[type[Exception], ...]) -> bool:
    """Whether an error is not of a documented type, or not of this library: raised by a line of another."""
    own = str(ROOT / "ropelab"), str(ROOT / "experiments")
    if type(error) not in documented and not (
        type(error).__module__.startswith("ropelab.") and isinstance(error, documented)
    ):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return not frames or not frames[-1].filename.startswith(own)


class Worker:
    """Runs cases of all formats in folders of its own.

    Args:
        base: for what formats prepare once.
    """

    def __init__(self, base: Path):
        self.base, self.guard = base, Guard()
        self.formats: dict[str, Any] = {}
        self.place = Path(tempfile.mkdtemp(dir=base))
        home = self.place / "home"
        for folder in (home, self.place / "outside"):
            folder.mkdir()
            (folder / "evil.py").write_text(BAIT)
            (folder / "secret").write_text("{}")
        os.environ["HOME"] = str(home)

    def open(self, name: str) -> Any:
        """The format, after one valid case of it: what is imported and compiled once is no case's doing."""
        if name not in self.formats:
            from tests.reliability.fuzz_formats import FORMATS

            self.formats[name] = FORMATS[name](self.base / name)
            for number in range(8):
                found = self.run(name, 0, number, valid=True)
                if found["outcome"] != "loaded":
                    raise RuntimeError(f"a valid case of {name} is not read: {found['error']}")
        return self.formats[name]

    def run(self, name: str, seed: int, number: int, *, keep: str = "", valid: bool = False) -> dict[str, Any]:
        """What became of a case: `outcome` loaded, refused or other; `seconds` are the caller's to measure."""
        rng, read = random.Random(f"{name} {seed} {number}"), self.formats[name]
        folder = Path(keep) if keep else self.place / "case"
        folder.mkdir(parents=True)
        (folder / "evil.py").write_text(BAIT)
        read.number = -1 if valid else number
        changed = read.write(rng, folder, valid=valid)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        limit = 2 * size + ALLOWANCE
        os.chdir(folder)
        tell(begun=number)
        forget_peak()
        before = memory("VmRSS")
        resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + limit + SLACK, resource.RLIM_INFINITY))
        self.guard.seen, self.guard.watched = [], () if valid else (str(self.place), str(folder))  # imports come first
        error: BaseException | None = None
        try:
            read.use(folder)
        except BaseException as raised:  # a PanicException is no Exception
            error = raised
        self.guard.watched = ()
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        used = memory("VmHWM") - before
        os.chdir(self.place)
        if (ran := [str(path) for path in self.place.rglob("ran")]) or (folder / "ran").exists():
            self.guard.seen.append(f"ran {ran}")
        if not keep:
            shutil.rmtree(folder)
        outcome = "loaded" if error is None else "other" if foreign(error, read.documented) else "refused"
        return {
            "outcome": outcome,
            "error": "" if error is None else short(error),
            "trace": "".join(traceback.format_exception(error)) if outcome == "other" and error else "",
            "where": innermost(error),
            "memory": used > limit or isinstance(error, MemoryError),
            "used": used,
            "seen": self.guard.seen,
            "changed": changed,
        }


def short(error: BaseException) -> str:
    text = " ".join(str(error).split()) if not isinstance(error, RecursionError) else str(error)
    return f"{type(error).__name__}: {text}"[:300]


def innermost(error: BaseException | None) -> str:
    """The last line of this library that the error went through."""
    frames = [] if error is None else traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith((str(ROOT / "ropelab"), str(ROOT / "experiments")))]
    return f"{Path(own[-1].filename).relative_to(ROOT)}:{own[-1].lineno}" if own else ""


def tell(**said: Any) -> None:
    os.write(CHANNEL, json.dumps(said).encode() + b"\n")


def main() -> None:
    worker = Worker(Path(sys.argv[1]))
    tell(ready=True)
    for line in sys.stdin:
        name, seed, number, keep = json.loads(line)
        worker.open(name)
        tell(opened=name)
        tell(**worker.run(name, seed, number, keep=keep))


CHANNEL = os.dup(1) if __name__ == "__main__" else 1
if __name__ == "__main__":
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print is not for the caller
    main()
