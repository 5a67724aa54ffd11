"""In which precision matrix products are computed: float32 means float32 on every platform.

Left to itself, jax multiplies float32 matrices in one bfloat16 pass on a TPU and in TF32 on GPUs from Ampere on. So
every product of ropelab states its precision. Products of bfloat16 or float16 are left to the platform, which
multiplies those exactly and adds in float32.

`jax.default_matmul_precision(...)`, or jax's flag of that name, is respected where somebody sets it; `describe` says so
in every protocol line.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def product_precision(*operands: Array) -> lax.Precision | None:
    """Return the `precision` of a product of these operands: HIGHEST for float32 and float64, else the platform's."""
    if _chosen_precision() is not None:
        return None
    return lax.Precision.HIGHEST if jnp.finfo(jnp.result_type(*operands)).bits >= 32 else None


def einsum(subscripts: str, *operands: Array, preferred_element_type: Any = None) -> Array:
    """Return `jnp.einsum` of the operands in their `product_precision`."""
    precision = product_precision(*operands)
    return jnp.einsum(subscripts, *operands, precision=precision, preferred_element_type=preferred_element_type)


def matmul(a: Array, b: Array) -> Array:
    """Return `a @ b` in their `product_precision`."""
    return jnp.matmul(a, b, precision=product_precision(a, b))


def describe() -> str:
    """Return the precision of float32 products for a protocol line."""
    chosen = _chosen_precision()
    return "float32 products in float32" if chosen is None else f"float32 products in jax's {chosen!r}"


def _chosen_precision() -> str | None:
    """Return jax's `default_matmul_precision` as it is set here, by a flag or a context; None if nobody set it."""
    return getattr(jax.config, "jax_default_matmul_precision")  # noqa: B009  an attribute that jax's stubs leave out
