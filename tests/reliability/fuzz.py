"""Read thousands of damaged and hostile files, and find that each is read or refused by a documented error.

    python -m tests.reliability.fuzz --format=all --cases=2000
    python -m tests.reliability.fuzz --format=gguf --case=17        one case, with its traceback, its files kept

A case may raise nothing but the documented errors of its format, and only by a line of this library; take 5 seconds of
computation, 20 in all, and twice the size of its files and 256 MiB; and neither import a file nor start a process but
the one that renders chat templates. Cases are read in a process of their own, whose time is watched from outside and
whose memory is the high-water mark of the case. A case that takes too long is tried again in a new process before it
counts. Exit code 1 if any case failed.
"""

import argparse
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NAMES = ("safetensors", "index", "gguf", "config", "tokenizer", "adapter", "specs", "plan", "manifest", "records")
SECONDS = 5.0
START, PREPARE = 180.0, 600.0  # for imports, and for what a format prepares once
FRESH = 1000  # cases after which a new process is started: compiled programs pile up
OUTCOMES = ("refused", "loaded", "other", "hang", "memory", "import")
Result = dict[str, Any]


class Process:
    """A worker, and the lines that it says."""

    def __init__(self, base: Path):
        cached = {"JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"), "JAX_PLATFORMS": "cpu"}
        quick = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
        self.base, self.cases, self.buffer = base, 0, b""
        self.errors = (base / "stderr").open("wb+")
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.fuzz_worker", str(base)],
            cwd=ROOT,
            env=cached | os.environ | quick,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        self.hear(START)

    def hear(self, seconds: float) -> Result:
        """The next line.

        Raises:
            TimeoutError: if there is none for so long.
            EOFError: if the process has ended.
        """
        assert self.popen.stdout is not None
        until = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.popen.stdout], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError
            new = os.read(self.popen.stdout.fileno(), 1 << 16)
            if not new:
                raise EOFError
            self.buffer += new
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def run(self, name: str, seed: int, case: int, keep: str, limit: float) -> Result:
        """What became of a case; `seconds` is how long its files were read, `limit` how long they may be."""
        assert self.popen.stdin is not None
        self.cases += 1
        begun = None
        try:
            self.popen.stdin.write(json.dumps([name, seed, case, keep]).encode() + b"\n")
            self.popen.stdin.flush()
            while "opened" not in self.hear(PREPARE):
                pass
            self.hear(PREPARE)
            begun = time.monotonic()
            found = self.patient(limit)
            return found | {"seconds": time.monotonic() - begun}
        except (TimeoutError, EOFError, BrokenPipeError) as error:
            self.stop()
            said = self.said()
            if begun is None:
                raise RuntimeError(f"the worker ended before case {case} of {name} was read:\n{said}") from None
            outcome = "hang" if isinstance(error, TimeoutError) else "other"
            full = "memory allocation" in said or "MemoryError" in said or "bad_alloc" in said
            text = (
                f"more than {limit:g} s" if outcome == "hang" else f"exit code {self.popen.returncode}: {said[-300:]}"
            )
            found = {
                "outcome": outcome,
                "error": text,
                "trace": said,
                "where": "",
                "memory": full,
                "used": 0,
                "seen": [],
            }
            return found | {"changed": [], "seconds": time.monotonic() - begun}

    def patient(self, limit: float) -> Result:
        """The next line. On a busy machine a case may take longer, as long as it computes for no more than `limit`.

        Raises:
            TimeoutError: after `limit` of computation, or four times as long in all.
        """
        before, until = self.computed(), time.monotonic() + 4 * limit
        while True:
            try:
                return self.hear(limit / 5)
            except TimeoutError:
                if self.computed() - before > limit or time.monotonic() > until:
                    raise

    def computed(self) -> float:
        """Seconds that the process has computed, and those of its own processes that have ended."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def said(self) -> str:
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")[-3000:]

    def stop(self) -> None:
        self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                pipe.close()


class Fuzzer:
    """Cases of any format, in processes that are started anew where one was killed."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="ropelab-fuzz-"))
        self.process: Process | None = None
        self.seconds = SECONDS

    def run(self, name: str, seed: int, case: int, keep: str = "") -> Result:
        """A case; one that takes too long is tried once more in a new process."""
        found = self.once(name, seed, case, keep)
        if found["outcome"] == "hang" and not keep:
            found = self.once(name, seed, case, keep)
        if found["seen"]:
            found["outcome"] = "import"
        elif found["memory"]:
            found["outcome"] = "memory"
        return found

    def once(self, name: str, seed: int, case: int, keep: str = "") -> Result:
        """A case, without another try."""
        if self.process is not None and self.process.cases >= FRESH:
            self.process.stop()
            self.process = None
        if self.process is None:
            self.process = Process(self.base)
        found = self.process.run(name, seed, case, keep, self.seconds)
        if self.process.popen.poll() is not None:
            self.process = None
        return found

    def close(self) -> None:
        if self.process is not None:
            self.process.stop()
        shutil.rmtree(self.base, ignore_errors=True)


def failed(found: Result) -> bool:
    return found["outcome"] not in ("refused", "loaded")


def report(name: str, seed: int, case: int, found: Result) -> str:
    """One line about a failure, and how to see it again."""
    what = found["error"] or f"{found['used'] / 2**20:.0f} MiB"
    seen = f" {'; '.join(found['seen'][:2])}" if found["seen"] else ""
    again = f"--format={name} --seed={seed} --case={case}"
    return f"{name} case {case}: {found['outcome']}{seen}: {what} [{found['where']}] ({again})"


def fuzz(fuzzer: Fuzzer, name: str, cases: int, seed: int) -> tuple[Counter[str], list[str]]:
    """How many cases had each outcome, and a line about every one that failed."""
    counts, lines = Counter[str](), []
    for case in range(cases):
        found = fuzzer.run(name, seed, case)
        counts[found["outcome"]] += 1
        if failed(found):
            lines.append(report(name, seed, case, found))
    return counts, lines


def table(rows: list[tuple[str, int, Counter[str], float]]) -> str:
    head = ("format", "cases", "refused", "loaded", "other types", "hangs", "memory", "imports", "seconds")
    body = [(n, str(cases), *(str(counts[o]) for o in OUTCOMES), f"{spent:.0f}") for n, cases, counts, spent in rows]
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True)))
        for line in (head, *body)
    )


def one(fuzzer: Fuzzer, name: str, seed: int, case: int) -> int:
    """Run a single case, print all about it and keep its files."""
    folder = Path(tempfile.mkdtemp(prefix=f"ropelab-{name}-{case}-")) / "case"
    found = fuzzer.run(name, seed, case, str(folder))
    print(report(name, seed, case, found) if failed(found) else f"{found['outcome']}: {found['error']}")
    print(found["trace"])
    print(
        f"{found['seconds']:.2f} s, {found['used'] / 2**20:.0f} MiB; changed: {', '.join(found['changed'])} in {folder}"
    )
    return 1 if failed(found) else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", default="all", help=f"all, or some of {', '.join(NAMES)}, separated by commas")
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="this one alone")
    given = parser.parse_args()
    names = NAMES if given.format == "all" else tuple(given.format.split(","))
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"--format={unknown[0]}: there are all, {', '.join(NAMES)}")
    fuzzer, rows = Fuzzer(), []
    try:
        if given.case is not None:
            return max(one(fuzzer, name, given.seed, given.case) for name in names)
        for name in names:
            start = time.monotonic()
            counts, lines = fuzz(fuzzer, name, given.cases, given.seed)
            rows.append((name, given.cases, counts, time.monotonic() - start))
            print(*lines, sep="\n" if lines else "", end="\n" if lines else "", flush=True)
    finally:
        fuzzer.close()
        if rows:
            print(table(rows))
    return 1 if any(counts[o] for _, _, counts, _ in rows for o in OUTCOMES[2:]) else 0


if __name__ == "__main__":
    sys.exit(main())
