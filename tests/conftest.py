"""Eight host devices, quick compilation and a cache, settled before jax is imported; and programs let go of in time.

XLA compiles at LLVM's first level, without its dearest passes and its fusion emitters, each program in one piece, which
is sooner than else, and for AVX2: at that level LLVM ends the process on AVX-512 machines of AMD, "Cannot select:
X86ISD::SUBV_BROADCAST_LOAD", where it compiles the losses of SmolLM2. YNNPACK's fusion of reductions, which computes
wrong numbers, is off. Of these flags only those that the installed jaxlib knows are set. A value of XLA_FLAGS from
outside, an empty one too, has the tests compiled as it says, on as many devices. Every program is kept, small ones too,
which both workers and every process they start would else make anew.
"""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

FROM_OUTSIDE = os.environ.get("XLA_FLAGS")  # as it is before ropelab, when imported, adds what it needs

from ropelab.xla_flags import select_flags  # noqa: E402

CACHE = Path(__file__).parents[1] / ".cache" / "jax"
QUICKLY = select_flags(
    "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1 --xla_cpu_max_isa=AVX2 "
    "--xla_cpu_experimental_ynn_fusion_type=-reduce"
)
MANY = 35_000

FLAGS = QUICKLY if FROM_OUTSIDE is None else os.environ["XLA_FLAGS"]
os.environ["XLA_FLAGS"] = f"{FLAGS} --xla_force_host_platform_device_count=8".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


@pytest.fixture(scope="module", autouse=True)
def few_programs() -> Iterator[None]:
    """Let go of the compiled programs after a file, when they are many.

    Every program holds memory maps, of which Linux gives a process 65,530: a worker that kept them all came there at
    the end of the suite, where the next compilation is a segmentation fault.
    """
    import jax

    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") > MANY:
        jax.clear_caches()
        gc.collect()
