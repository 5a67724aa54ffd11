"""Float64 inside float32 programs: for the few numbers per token from which angles are made.

A frequency that is rounded to float32 puts the angle off by up to 0.004 rad at position 131072. Frequencies that are
known when compiling come from numpy; those of a traced length are computed within `float64()`, which every backend
has (TPUs emulate it), whatever precision the program around runs in.
"""

from contextlib import AbstractContextManager

import jax


def float64() -> AbstractContextManager[object]:
    """While this is entered, jax keeps 64 bits; arrays that leave it must be cast to 32."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax import experimental

    return getattr(experimental, "enable_x64")()  # noqa: B009  its name up to jax 0.8
