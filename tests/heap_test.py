"""What the process keeps of a program's temporaries: counted in page faults, in a process of its own."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from ropelab import heap
if sys.argv[1] == "keep" and not heap.keep():
    sys.exit("mallopt is missing")
import jax, jax.numpy as jnp
x = jnp.ones((4096, 4096))  # 64 MiB, twice the largest block that glibc would keep
program = jax.jit(lambda x: jnp.sum(jnp.cumsum(x, 0)[::-1] @ x[:, :1]))
jax.block_until_ready(program(x))

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    jax.block_until_ready(program(x))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(min(faults() for _ in range(5)))
"""


def faults(how: str) -> int:
    """Page faults of the best of five calls."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_a_call_finds_the_memory_of_the_one_before():
    assert faults("keep") < faults("leave") / 4
