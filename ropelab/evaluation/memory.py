"""Estimate whether scoring fits into memory, before anything is compiled."""

import jax
import numpy as np
import psutil

from ropelab.attention.kernels.blockwise import choose_block
from ropelab.attention.registry import choose_kernel
from ropelab.models.chunks import CPU_CHUNK
from ropelab.models.config import Wiring
from ropelab.models.head import TOKENS, WORDS


def scoring_bytes(wiring: Wiring, length: int, part: int, dtype: str) -> int:
    """Return the bytes that scoring a text of `length` tokens in parts of `part` takes in addition to the weights."""
    c, wide = wiring.config, 4
    narrow = np.dtype(dtype).itemsize
    part = min(part, length)
    cache = 2 * 2 * c.layers * length * c.key_heads * c.head_dim * narrow  # old and new
    stream = part * (4 * c.width + 4 * c.heads * c.head_dim) * wide
    dense = choose_kernel(wiring.kernel, part, length, wiring.encoding) == "dense"
    rows, columns = (part, length) if dense else choose_block(part, length)
    scores = 3 * c.heads * rows * columns * wide
    logits = 3 * min(TOKENS, part) * min(WORDS, c.vocabulary) * wide
    feed_forward = 3 * min(CPU_CHUNK, part) * c.feed_forward * wide
    return cache + stream + scores + logits + feed_forward


def available_bytes() -> int | None:
    """Return the free bytes of the first device, or of the host for a CPU device; None if unknown."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return psutil.virtual_memory().available
    stats = device.memory_stats() or {}
    limit, used = stats.get("bytes_limit"), stats.get("bytes_in_use")
    return None if limit is None or used is None else limit - used


def check_memory(wiring: Wiring, length: int, part: int, dtype: str) -> None:
    """Raise `ValueError` if a text of `length` cannot be scored with the memory there is."""
    needed, there = scoring_bytes(wiring, length, part, dtype), available_bytes()
    if there is not None and needed > there:
        raise ValueError(
            f"length {length} needs about {needed / 1e9:.1f} GB in addition to the weights, and {there / 1e9:.1f} GB "
            f"are free; give a shorter length{', or kernel=blockwise' if wiring.kernel == 'dense' else ''}"
        )
