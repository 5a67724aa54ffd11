"""Eight host devices, a compilation cache and quick compilation, all settled before jax is imported.

Most of the suite's time is XLA compiling small programs: a third less with LLVM's first level of optimisation. (Level 0
gives NaN gradients for KERPLE and Sandwich on jax 0.10.2.)
"""

import os
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache" / "jax"

FLAGS = (
    "--xla_force_host_platform_device_count=8",
    "--xla_backend_optimization_level=1",
    "--xla_llvm_disable_expensive_passes=true",
)
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS]).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")
