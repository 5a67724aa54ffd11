"""A bias linear in the distance as a few more head dimensions, for kernels that take no bias.

With positions counted from the middle c of the keys, i' = i - c and j' = j - c, written in signed digits of base 256,

    -m_n (i - j) = sum_d (m_n 256^d) . digit_d(j')  +  (-m_n i') . 1        j' = sum_d digit_d(j') 256^d

is a product of numbers that a query has (in brackets, a head's slope m among them) and numbers that a key has, the same
for all heads: query heads that share a key head keep slopes of their own. Digits, and powers of two, are exact in
bfloat16; the row constant -m i' is cut into three bfloat16 numbers, and a slope that is no power of two into two, which
leaves 2^-18 of it. It is the bias -m |i - j| wherever j <= i, and only there.

What is lost is float32's cancellation between the terms, which grow with the text: each addition to a partial sum of
m T / 2 rounds a score by up to 2^-25 m T, which for m = 1/2 is 6e-5 at 4k tokens, 2e-3 at 128k and 1.6e-2 at 1M. The
dimensions stand in front of the head's own, so that a sum taken in order has cancelled them before q . k is added: for
powers of two that is exact. Which order a matrix unit takes is its own affair. Measured on a CPU with bfloat16 operands
and float32 sums, the largest error of an output over worst rows, 8 heads / 16 heads: 1e-7 / 1e-5 at 4k, 1e-7 / 4e-5 at
128k, 1e-7 / 4e-3 at 1M. With the dimensions behind the head's own: 1e-5, 8e-4 and 4e-3; one float32 product, in an
order of its own, had 2e-4 at 4k. bfloat16 itself rounds an output by 2e-3. Beyond 128k use `blockwise`, which adds the
bias of the distance itself.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

_BASE = 256  # integers up to here are exact in bfloat16
MAX_POSITIONS = 2 * _BASE**3  # positions that three digits tell apart
_MULTIPLE = 8  # of which cuDNN wants the head dimension
_ROW_PIECES = 3  # bfloat16 numbers that make up 24 bits


def add_bias_dimensions(
    q_BNTH: Array,
    k_BKSH: Array,
    slopes_N: np.ndarray,
    q_pos_BT: Array,
    k_pos_BS: Array,
    *,
    reach: int = MAX_POSITIONS,
) -> tuple[Array, Array]:
    """Return `(q, k)`, `count_bias_dimensions` wider, whose products have m_n (i - j) subtracted.

    Args:
        q_BNTH: divided by sqrt(H) already, as views are.
        slopes_N: m_n, known numbers, one for each query head that is here.
        reach: positions of one row lie less than this apart; a closer bound spares dimensions.
    """
    dtype = jnp.promote_types(q_BNTH.dtype, jnp.float32)
    middle_B1 = (jnp.min(k_pos_BS, axis=1, keepdims=True) + jnp.max(k_pos_BS, axis=1, keepdims=True)) // 2
    pieces_PN, D = split_slopes(slopes_N), _count_digits(reach)
    weights = np.stack([piece * float(_BASE) ** d for piece in pieces_PN for d in range(D)], axis=-1)  # [N, P D]
    (B, N, T), (K, S) = q_BNTH.shape[:3], k_BKSH.shape[1:3]
    rows = split_rows(-jnp.asarray(pieces_PN.sum(0), dtype)[:, None] * (q_pos_BT - middle_B1).astype(dtype)[:, None])
    q_more = [jnp.broadcast_to(jnp.asarray(weights, dtype)[None, :, None], (B, N, T, weights.shape[1])), rows]
    digits_BSD = split_digits(k_pos_BS - middle_B1, D)
    k_more = [jnp.tile(digits_BSD, (1, 1, len(pieces_PN))), jnp.ones((B, S, _ROW_PIECES), digits_BSD.dtype)]
    k_more = jnp.broadcast_to(jnp.concatenate(k_more, axis=-1)[:, None], (B, K, S, weights.shape[1] + _ROW_PIECES))
    width = count_bias_dimensions(slopes_N, reach)
    return prepend(jnp.concatenate(q_more, axis=-1), q_BNTH, width), prepend(k_more, k_BKSH, width)


def count_bias_dimensions(slopes_N: np.ndarray, reach: int = MAX_POSITIONS) -> int:
    """Return by how much the head dimension grows."""
    used = len(split_slopes(slopes_N)) * _count_digits(reach) + _ROW_PIECES
    return -(-used // _MULTIPLE) * _MULTIPLE


def _count_digits(reach: int) -> int:
    """Return the number of digits for the distance of a position from the middle.

    Raises:
        ValueError: for positions further apart than three digits tell.
    """
    if reach > MAX_POSITIONS:
        raise ValueError(f"positions {reach} apart need more than three digits; up to {MAX_POSITIONS} are taken")
    return max(1, math.ceil(math.log(max(reach, 1) / 2, _BASE)))


def split_digits(x: Array, count: int) -> Array:
    """Append an axis of signed digits of base 256, the lowest first, at most 256 in magnitude."""
    found = []
    for _ in range(count - 1):
        low = (x + _BASE // 2) % _BASE - _BASE // 2
        found.append(low)
        x = (x - low) // _BASE
    return jnp.stack([*found, x], axis=-1)


def split_slopes(slopes_N: np.ndarray) -> np.ndarray:
    """Split slopes into bfloat16 numbers that sum to them, [1 or 2, N]; one for powers of two."""
    first = _round_to_bfloat16(np.asarray(slopes_N, np.float64))
    rest = _round_to_bfloat16(slopes_N - first)
    return np.stack([first, rest]) if rest.any() else first[None]


def _round_to_bfloat16(x: np.ndarray) -> np.ndarray:
    return x.astype(jnp.bfloat16).astype(np.float64)


def split_rows(x: Array) -> Array:
    """Append an axis of three bfloat16 numbers that sum to a float32.

    By `reduce_precision`: a cast to bfloat16 and back is something XLA may leave out, and then nothing is left over.
    """
    found = []
    for _ in range(_ROW_PIECES):
        found.append(lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7))
        x = x - found[-1]
    return jnp.stack(found, axis=-1)


def prepend(more: Array, x: Array, width: int) -> Array:
    """Put `more`, padded with zeros to `width` entries, in front of the last axis of `x`."""
    missing = width - more.shape[-1]
    more = jnp.pad(more.astype(x.dtype), [(0, 0)] * 3 + [(0, missing)])
    return jnp.concatenate([more, x], axis=-1)
