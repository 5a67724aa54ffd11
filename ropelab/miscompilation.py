"""Keeps jaxlib from computing wrong numbers on a CPU.

jaxlib from 0.10.2 to at least 0.12.0.1 fuses a matrix product with a reduction of its result (YNNPACK's reduce fusion,
on by default) and computes it wrongly: `jnp.sum((E @ M) * E, -1)` of [5, 32, 32] is off by 0.97 relative, and of
[5, 128, 128] NaN. `--xla_cpu_experimental_ynn_fusion_type=-reduce` in XLA_FLAGS turns that fusion off. XLA reads
XLA_FLAGS when its first backend starts, so `import ropelab` sets the flag if none is up, and runs the reproducer if
one is. jaxlib without the flag (0.7.2, say) computes rightly and is left alone: XLA aborts on a flag it does not know.
"""

import os
import sys
import warnings

from ropelab.xla_flags import is_known_flag

FLAG = "--xla_cpu_experimental_ynn_fusion_type"
SIZES = (32, 128)  # of the matrices of the two reproducers
LARGEST_ERROR = 1e-4  # float32 rounding is 1e-6


class MiscompilationError(RuntimeError):
    """The CPU backend that is up computes wrong numbers, and it is too late to set the flag."""


def guard() -> None:
    """Make the CPU backend of an affected jaxlib safe, or find out that it is too late.

    A flag that somebody set is kept; one that leaves the fusion on is warned of.

    Raises:
        MiscompilationError: if a CPU backend is up, and the reproducer is wrong on it.
    """
    if not is_known_flag(FLAG):
        return
    if _started_platforms():
        _check_started()
    elif (flag := flag_in_effect()) is None:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAG}=-reduce".strip()
    elif "-reduce" not in flag:
        warnings.warn(f"XLA_FLAGS has {flag}; on a CPU, products may be wrong without {FLAG}=-reduce", stacklevel=2)


def flag_in_effect() -> str | None:
    """Return the flag with its value as XLA_FLAGS has it, the last one if there are several; None if there is none."""
    given = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if flag.partition("=")[0] == FLAG]
    return given[-1] if given else None


def reproduce(size: int) -> float:
    """Return the relative error of the CPU backend on `sum((E @ M) * E, -1)` with E of [5, size, size]; NaN is inf."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    e = np.random.default_rng(0).standard_normal((5, size, size)).astype(np.float32)
    m = np.full_like(e, 0.37)
    expected = np.sum((e.astype(np.float64) @ m) * e, -1)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        found = np.asarray(jax.jit(lambda x: jnp.sum((x @ jnp.full_like(x, 0.37)) * x, -1))(e))
    error = float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))
    return error if np.isfinite(error) else float("inf")


def _started_platforms() -> tuple[str, ...]:
    """Return the platforms whose backends are up in this process, the default one first."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    if bridge is None or not bridge.backends_are_initialized():
        return ()
    default = bridge.get_backend().platform
    return tuple(sorted(bridge.backends(), key=lambda platform: platform != default))


def _check_started() -> None:
    """Run the smaller reproducer on the CPU backend that is up: raise if it is the default one and wrong, else warn."""
    platforms = _started_platforms()
    if "cpu" not in platforms or (error := reproduce(SIZES[0])) < LARGEST_ERROR:
        return
    message = (
        f"this jaxlib computes wrong numbers on the CPU (relative error {error:.2g} of a product that is summed) and "
        f"its backend was started before ropelab could prevent it; import ropelab before the first jax computation, or "
        f'start Python with XLA_FLAGS="{FLAG}=-reduce"'
    )
    if platforms[0] == "cpu":
        raise MiscompilationError(message)
    warnings.warn(message, stacklevel=3)
