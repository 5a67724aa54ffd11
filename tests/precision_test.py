"""float32 means float32: every product that ropelab traces states its precision, and the protocol line names it."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ropelab import encodings, precision
from ropelab.encodings import Encoding
from ropelab.evaluation.store import describe_versions
from tests.programs import programs

HIGHEST = (lax.Precision.HIGHEST, lax.Precision.HIGHEST)
WIDE = (jnp.float32, jnp.float64)


def products(jaxpr: Any) -> Iterator[tuple[Any, Any]]:
    """`(dtypes of the operands, precision)` of each product in a program, nested ones too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield tuple(v.aval.dtype for v in equation.invars), equation.params["precision"]
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from products(inner)


def traced(function: Any, arguments: Any) -> list[tuple[Any, Any]]:
    return list(products(jax.make_jaxpr(function)(*arguments).jaxpr))


def test_every_float32_product_is_computed_in_float32():
    for name, program in programs():
        found = traced(*program)
        assert found, f"no product in {name}"
        assert [(name, dtypes, stated) for dtypes, stated in found if stated != HIGHEST] == []


def test_products_of_bfloat16_are_left_to_the_platform():
    for name, program in programs("bfloat16"):
        narrow = [stated for dtypes, stated in traced(*program) if not any(dtype in WIDE for dtype in dtypes)]
        assert set(narrow) <= {None}, name


@pytest.mark.parametrize("encoding", encodings.ALL, ids=repr)
def test_the_scores_of_every_encoding_are_in_float32(encoding: Encoding):
    q = np.ones((1, 5, 2, 16), np.float32)
    params = encoding.init(jax.random.key(0), num_heads=2, head_dim=16)
    found = traced(lambda q: encodings.scores(encoding, q, q, np.arange(5), np.arange(5), params=params), (q,))
    assert {stated for _, stated in found} == {HIGHEST}


def test_a_precision_that_somebody_sets_is_respected_and_named():
    with jax.default_matmul_precision("bfloat16"):
        assert precision.product_precision(jnp.zeros(1)) is None
        assert "bfloat16" in describe_versions()
    assert "float32 products in float32" in describe_versions()
