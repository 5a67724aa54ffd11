"""Kill a training at random moments, start it again, and compare with one that was never interrupted.

    python -m tests.reliability.kill --runs=20 --devices=1
    python -m tests.reliability.kill --runs=20 --devices=4
    python -m tests.reliability.kill --runs=50 --moments=save

Each run is killed (SIGKILL) while it compiles, between steps, while it saves or while it measures, once to three times,
and then finished by the same command. Its parameters, optimiser state and records must be those of the uninterrupted
run, bit for bit.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.reliability.harness import STEPS, Training, at_step, begun, measuring, saving

Moment = tuple[str, Callable[[Path], bool], float]


def moment(name: str, rng: random.Random) -> Moment:
    """When to strike: a condition on the folder, and seconds after it."""
    if name == "compile":
        return name, begun, rng.uniform(0.0, 3.0)
    if name == "save":
        return name, saving, rng.uniform(0.0, 0.08)
    if name == "measure":
        return name, measuring, rng.uniform(0.0, 0.05)
    return name, at_step(rng.randrange(1, STEPS)), rng.uniform(0.0, 0.05)


def killed_and_finished(training: Training, names: list[str], rng: random.Random) -> list[str]:
    """Strike one to three times, then run to the end; where it was struck."""
    struck = []
    for _ in range(rng.randint(1, 3)):
        name, condition, after = moment(rng.choice(names), rng)
        code, _ = training.stop_at(condition, signal.SIGKILL, after)
        struck.append(f"{name}@{max(training.rows(), 0)}")
        if code == 0:
            struck[-1] += " (too late)"
            break
    training.finish()
    return struck


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--moments", default="compile,step,save,measure")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, names, same = random.Random(given.seed), given.moments.split(","), 0
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place) / "cache"
        whole = Training(Path(place) / "whole", devices=given.devices, cache=cache)
        whole.finish()
        wanted = whole.digest()
        for run in range(given.runs):
            begin = time.monotonic()
            training = Training(Path(place) / f"killed{run}", devices=given.devices, cache=cache)
            struck = killed_and_finished(training, names, rng)
            equal = training.digest() == wanted
            same += equal
            verdict = "same" if equal else "DIFFERENT"
            print(f"run {run}: killed at {', '.join(struck)}: {verdict} ({time.monotonic() - begin:.0f} s)", flush=True)
    print(f"{same} of {given.runs} bit-identical to the uninterrupted run, {given.devices} device(s)")
    return 0 if same == given.runs else 1


if __name__ == "__main__":
    sys.exit(main())
