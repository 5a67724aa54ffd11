"""How much arithmetic a step is, and how much the machine could do.

    forward, a token:   2 P + 4 N H s      P: parameters that multiply, s: keys that a query sees, on average
    backward:           2 P' + 4 P ... →   training = 3 (2 P + 4 N H s); with frozen matrices 2 (2 P) + 3 (4 N H s)

s is counted from the pattern: (T + 1) / 2 for causal attention. What remat computes again does not count, so MFU is the
share of the peak that the model itself had.
"""

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ropelab.models.config import Wiring
from ropelab.models.parameters import shapes

# dense bfloat16, FLOP/s of a device: the makers' data sheets
_PEAK_FLOPS = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
    "NVIDIA L4": 121e12,
    "Tesla T4": 65e12,
}
_SAMPLED_QUERIES = 64  # queries whose keys are counted


@functools.cache
def flops_per_token(wiring: Wiring, length: int, *, frozen: bool) -> float:
    """FLOPs of training on one token of a window of this length."""
    config = wiring.config
    tree = shapes(config)
    stacked = jax.tree.leaves(tree["layers"], is_leaf=lambda x: isinstance(x, tuple))
    matrices = sum(float(np.prod(s)) for s in stacked if len(s) > 2) + config.vocabulary * config.width
    attention = 4.0 * config.layers * config.heads * config.head_dim * mean_keys_per_query(wiring, length)
    return (4.0 if frozen else 6.0) * matrices + 3.0 * attention


def mean_keys_per_query(wiring: Wiring, length: int) -> float:
    """How many keys a query sees, on average over the window and the heads; one that counts twice is two."""
    heads = wiring.config.heads
    q_pos = np.unique(np.linspace(0, length - 1, min(_SAMPLED_QUERIES, length)).astype(np.int32))[None, :, None]
    k_pos, head = np.arange(length)[None, None, :], np.arange(heads)[:, None, None]
    counts = np.asarray(wiring.pattern.counts(jnp.asarray(q_pos), jnp.asarray(k_pos), jnp.asarray(head), heads))
    seen = counts * (k_pos <= q_pos) if wiring.pattern.causal else counts
    return float(np.broadcast_to(seen, (heads, q_pos.size, length)).sum(-1).mean())


def peak_flops() -> tuple[float, str]:
    """FLOP/s of all devices together, and where the figure is from."""
    devices, kind = jax.devices(), jax.devices()[0].device_kind
    known = [name for name in _PEAK_FLOPS if kind.startswith(name)]
    if known:
        return _PEAK_FLOPS[max(known, key=len)] * len(devices), f"{len(devices)} x {kind}, bfloat16, data sheet"
    if jax.default_backend() == "cpu":
        return _measure_peak() * jax.process_count(), "float32 product of 1536 x 1536 matrices, measured"
    return float("nan"), f"unknown for {kind}"


def _measure_peak(side: int = 1536) -> float:
    """FLOP/s of the fastest of five products of two square matrices."""
    x = jnp.ones((side, side), jnp.float32)
    product: Any = jax.jit(lambda a: a @ a)
    product(x).block_until_ready()
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        product(x).block_until_ready()
        times.append(time.perf_counter() - begun)
    return 2.0 * side**3 / min(times)
