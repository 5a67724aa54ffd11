"""The scripts here in short: a flip in every file, a kill while saving and one between steps."""

import random
import signal

from tests.reliability.flips import detected
from tests.reliability.harness import Training, at_step, saving


def test_flipped_bits_are_detected():
    """Forty: each of the checkpoint's files at least once."""
    assert detected(40, seed=1) == (40, [])


def test_a_killed_training_is_the_one_that_was_never_killed(tmp_path):
    """On four devices, killed while it saves, then between steps, and finished by the same command."""
    rng = random.Random(0)
    whole, killed = (Training(tmp_path / name, devices=4, cache=tmp_path / "cache") for name in ("whole", "killed"))
    whole.finish()
    assert killed.stop_at(saving, signal.SIGKILL, rng.uniform(0, 0.05))[0] == -signal.SIGKILL
    assert killed.stop_at(at_step(17), signal.SIGKILL)[0] == -signal.SIGKILL
    killed.finish()
    assert killed.digest() == whole.digest()
