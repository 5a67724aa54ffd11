"""Ask a training to stop, by SIGTERM, SIGINT or SIGHUP, at random moments: what is lost, and does it resume exactly?

    python -m tests.reliability.signals --signals=20

The process must end with 143, 130 or 129, its newest checkpoint must hold every step that was written down, and the
run that is finished by the same command must be the uninterrupted one, bit for bit.
"""

import argparse
import random
import signal
import sys
import tempfile
from pathlib import Path

from tests.reliability.harness import Training
from tests.reliability.kill import moment

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}


def newest(folder: Path) -> int:
    """The newest sealed step."""
    sealed = (folder / "checkpoints").glob("*/manifest.json") if (folder / "checkpoints").exists() else ()
    return max((int(path.parent.name) for path in sealed if path.parent.name.isdigit()), default=0)


def asked(training: Training, how: signal.Signals, rng: random.Random) -> tuple[str, bool]:
    """Ask once; what happened, and whether it was right."""
    name, condition, after = moment(rng.choice(["compile", "step", "step", "save", "measure"]), rng)
    code, _ = training.stop_at(condition, how, after)
    done, kept = max(training.rows(), 0), newest(training.folder)
    right = code == 0 or (code == CODES[how] and kept >= done)
    return f"{how.name} at {name}: exit {code}, {done} steps written down, {kept} saved", right


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signals", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, good = random.Random(given.seed), 0
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place) / "cache"
        whole = Training(Path(place) / "whole", cache=cache)
        whole.finish()
        for number in range(given.signals):
            training = Training(Path(place) / f"asked{number}", cache=cache)
            what, right = asked(training, list(CODES)[number % len(CODES)], rng)
            training.finish()
            right = right and training.digest() == whole.digest()
            good += right
            print(f"{what}: {'right' if right else 'WRONG'}", flush=True)
    print(f"{good} of {given.signals} signals: nothing lost but the step in flight, and bit-identical when finished")
    return 0 if good == given.signals else 1


if __name__ == "__main__":
    sys.exit(main())
