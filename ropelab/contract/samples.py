"""The small arrays that every property is tried on, and how two results are compared.

Lengths divide by no block size, query heads share key heads, queries are large enough that attention is far from
uniform, and positions reach beyond the length an encoding was trained on, where its scaling acts.
"""

from typing import Any

import jax
import numpy as np

from ropelab.attention import Causal, SlidingWindow
from ropelab.encodings import Encoding
from ropelab.encodings.base import Params
from ropelab.spec import iterate_specs

Numbers = Any  # numpy where jax is expected, because its indexing compiles nothing
_NAMED_LENGTHS = ("original_length", "window", "chunk", "interval")  # fields up to which an encoding may do nothing

B, T, N, K, H = 2, 21, 4, 2, 16
PATTERNS = (Causal(), SlidingWindow(window=9))  # an encoding is tried on two; every pattern on encodings of each kind


def sample_qkv(length: int = T) -> tuple[Numbers, Numbers, Numbers]:
    """Sample queries, keys and values of one self-attention."""
    rng = np.random.default_rng(length)
    q = 2 * rng.standard_normal((B, length, N, H))
    k, v = rng.standard_normal((2, B, length, K, H))
    return q.astype(np.float32), k.astype(np.float32), v.astype(np.float32)


def sample_params(encoding: Encoding) -> Params:
    """Return the encoding's learned tables, moved away from an initial value that may be all zeros."""
    made = encoding.init(jax.random.key(0), num_heads=N, head_dim=H)
    leaves, structure = jax.tree.flatten(made)
    rng = np.random.default_rng(1)
    return jax.tree.unflatten(structure, [leaf + 0.3 * rng.standard_normal(leaf.shape, np.float32) for leaf in leaves])


def find_trained_length(encoding: Encoding) -> int:
    """Return the length from which the encoding's scaling acts, if it or a nested encoding has one."""
    named = [getattr(part, name, None) for part in iterate_specs(encoding) for name in _NAMED_LENGTHS]
    named.append(encoding.position_limit)
    return max([T, *(length for length in named if isinstance(length, int))])


def sample_positions(encoding: Encoding) -> Numbers:
    """Sample i32[T] positions with uneven gaps, unsorted, up to four trained lengths."""
    rng = np.random.default_rng(2)
    chosen = rng.choice(4 * find_trained_length(encoding) - 1, T - 1, replace=False)
    return rng.permutation(np.append(chosen, 4 * find_trained_length(encoding) - 1)).astype(np.int32)


def assert_same(actual: Numbers, expected: Numbers, tolerance: float, what: str) -> None:
    """Raise `AssertionError` unless the arrays agree to `tolerance` times the largest finite entry expected, or 1."""
    a, e = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert a.shape == e.shape, f"{what}: shape {a.shape} instead of {e.shape}"
    scale = max(1.0, np.abs(e[np.isfinite(e)]).max(initial=0.0))
    wrong = ~np.isclose(a, e, rtol=0, atol=tolerance * scale)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(f"{what}: {a[at]:.6g} instead of {e[at]:.6g} at {at}, and {wrong.sum()} of {a.size} wrong")
