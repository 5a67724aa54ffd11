"""Flip single bits in the newest checkpoint, and see each found and the checkpoint before it restored.

    python -m tests.reliability.flips --flips=200

Every file of the checkpoint is hit, in proportion to its size but each at least once.
"""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
from etils import epath

from ropelab.training.checkpointing import Checkpoints, Saving


def some_state(step: int) -> dict:
    """Arrays of several types and sizes, others at every step."""
    key = jax.random.key(step)
    return {
        "step": jnp.int32(step),
        "weights": jax.random.normal(key, (64, 96)),
        "half": jax.random.normal(key, (40, 50)).astype(jnp.bfloat16),
        "layers": {"q": jax.random.normal(key, (3, 32, 4, 8)), "norm": jnp.ones((3, 32))},
    }


def saved(folder: Path) -> None:
    """Two checkpoints, after 10 and 20 steps."""
    checkpoints = Checkpoints(epath.Path(folder), Saving(keep=2))
    for step in (10, 20):
        checkpoints.save(step, some_state(step), {"lanes": {"0": step}}, {"base": "none", "loss": None})
    checkpoints.close()


def flip(path: Path, rng: random.Random) -> str:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    at, bit = rng.randrange(len(data)), rng.randrange(8)
    data[at] ^= 1 << bit
    path.write_bytes(bytes(data))
    return f"{path.name} byte {at} bit {bit}"


def found_and_restored(folder: Path) -> bool:
    """Whether the newest checkpoint is not believed, and the one before it is read back right."""
    said: list[str] = []
    checkpoints = Checkpoints(epath.Path(folder), Saving(keep=2), said=said.append)
    places = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), some_state(0))
    restored = checkpoints.restore(lambda step: places)
    checkpoints.close()
    if restored is None or restored.step != 10 or len(said) != 1:
        return False
    equal = jax.tree.map(lambda a, b: bool((a == b).all()), restored.state, some_state(10))
    return all(jax.tree.leaves(equal)) and restored.data == {"lanes": {"0": 10}}


def targets(newest: Path, flips: int, rng: random.Random) -> list[Path]:
    """Which files to hit."""
    files = sorted(path for path in newest.rglob("*") if path.is_file() and path.stat().st_size)
    rest = max(0, flips - len(files))
    return (files + rng.choices(files, [path.stat().st_size for path in files], k=rest))[:flips]


def detected(flips: int, seed: int = 0) -> tuple[int, list[str]]:
    """How many flips were found and survived, and those that were not."""
    rng, missed = random.Random(seed), []
    with tempfile.TemporaryDirectory() as place:
        clean, hurt = Path(place) / "clean", Path(place) / "hurt"
        saved(clean)
        for target in targets(clean / "20", flips, rng):
            shutil.copytree(clean, hurt)
            where = flip(hurt / target.relative_to(clean), rng)
            if not found_and_restored(hurt):
                missed.append(where)
            shutil.rmtree(hurt)
    return flips - len(missed), missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found, missed = detected(given.flips, given.seed)
    for where in missed:
        print(f"missed: {where}")
    print(f"{found} of {given.flips} flipped bits detected, the checkpoint before restored")
    return 0 if not missed else 1


if __name__ == "__main__":
    sys.exit(main())
