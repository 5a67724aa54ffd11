"""Positions and segments as callers give them: checked once, in one place, for scores, attention and models alike.

Positions are integers, or fractions where the encoding is defined between whole positions: Position Interpolation is
`positions / factor`. Nothing is rounded, cut to 32 bits or broadcast without a word.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from ropelab.encodings.base import Encoding

_INT32 = np.iinfo(np.int32)


def normalize_positions(positions: Any, shape: tuple[int, ...], encoding: Encoding, name: str = "positions") -> Array:
    """Return positions as i32[B, T], or as f32[B, T] if they are fractional.

    Args:
        positions: numbers [T], the same for each row, or [B, T].
        shape: (B, T) of the tokens.
        encoding: the one that they are for.
        name: what errors call them.

    Raises:
        ValueError: for another shape, anything but real numbers, values that are not finite or beyond 32 bits,
            fractions under an encoding that is defined for whole positions only, or negative ones under an encoding
            that counts from 0.
    """
    given = _as_rows(positions, shape, name)
    fractional = jnp.issubdtype(given.dtype, jnp.floating)
    if not fractional and not jnp.issubdtype(given.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers or fractions, got {given.dtype}")
    if fractional and not encoding.fractional_positions:
        raise ValueError(
            f"{encoding!r} is defined for whole positions only, and {name} are {given.dtype}; give integers"
        )
    if not isinstance(given, Tracer):
        _check_values(np.asarray(given), encoding, name)
    return jnp.broadcast_to(jnp.asarray(given, jnp.float32 if fractional else jnp.int32), shape)


def normalize_segments(segments: Any, shape: tuple[int, ...], name: str = "segments") -> Array:
    """Return the document of each token as i32[B, T].

    Args:
        segments: integers [T], the same for each row, or [B, T].

    Raises:
        ValueError: for another shape, anything but integers, or values beyond 32 bits.
    """
    given = _as_rows(segments, shape, name)
    if not jnp.issubdtype(given.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers, the number of each token's document, got {given.dtype}")
    if not isinstance(given, Tracer):
        _check_range(np.asarray(given), name)
    return jnp.broadcast_to(jnp.asarray(given, jnp.int32), shape)


def context_length(*positions: Array) -> int | Array:
    """Return the length that positions imply, floor(max) + 1; an int where the positions are known."""
    top = jnp.max(jnp.stack([jnp.max(p) for p in positions]))
    length = jnp.floor(top).astype(jnp.int32) + 1
    return length if isinstance(length, Tracer) else int(length)


def _as_rows(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray | Array:
    """Return `values` as an array of shape [T] or [B, T], uncast."""
    if not isinstance(values, Array):
        try:
            values = np.asarray(values)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{name} are not an array of numbers: {error}") from None
    if values.shape not in (shape[1:], shape):
        raise ValueError(
            f"{name} have the shape {list(values.shape)}; {shape[1]} tokens take {[shape[1]]} or {list(shape)}"
        )
    return values


def _check_values(positions: np.ndarray, encoding: Encoding, name: str) -> None:
    if not np.all(np.isfinite(positions)):
        raise ValueError(f"{name} hold {positions[~np.isfinite(positions)][0]}; they must be finite")
    _check_range(positions, name)
    lowest = positions.min(initial=0)
    if lowest < 0 and not encoding.relative:
        raise ValueError(
            f"{name} reach down to {lowest}, and under {encoding!r} a position below 0 has no meaning; count from 0"
        )


def _check_range(values: np.ndarray, name: str) -> None:
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    if low < _INT32.min or high > _INT32.max:
        raise ValueError(f"{name} run from {low} to {high}; they must fit into 32 bits, {_INT32.min} to {_INT32.max}")
