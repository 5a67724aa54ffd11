"""Eight host devices and a compilation cache, both settled before jax is imported; and programs let go of in time."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[1] / ".cache" / "jax"

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")


@pytest.fixture(scope="module", autouse=True)
def programs_of_one_file_at_a_time() -> Iterator[None]:
    """Let go of the compiled programs after each file.

    Every program holds memory maps: with 34,000 at three quarters of the suite a worker came to Linux's 65,530 before
    the end, where the next compilation is a segmentation fault.
    """
    import jax

    yield
    jax.clear_caches()
    gc.collect()
