"""What training minimises: the weighted mean of -log p(target | tokens before it).

    loss = sum_bt w_bt nll_bt / sum_bt w_bt

The sum is float32 whatever the model computes in, and [T, V] is never held (`models.loss`, `models.head`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ropelab.data.batch import Batch
from ropelab.models import head, loss
from ropelab.models.compiled import placed
from ropelab.models.config import Wiring
from ropelab.models.family import Tree
from ropelab.models.sequence import whole_text


class Given(NamedTuple):
    """What of a batch the model is told, besides tokens: the rest is in order, in one document.

    Consecutive positions that are not given are known when the program is compiled, and a pattern may then arrange
    its tokens.
    """

    positions: bool = False
    segments: bool = False


def weighted_sum(wiring: Wiring, params: Tree, batch: Batch, given: Given, dtype: str) -> Array:
    """sum_bt w_bt nll_bt, what training differentiates."""
    rounded, x_BTD = last_states(wiring, params, batch, given, dtype)
    return loss.weighted_sum(rounded, x_BTD, jnp.asarray(batch.targets), jnp.asarray(batch.weights))


def row_sums(wiring: Wiring, params: Tree, batch: Batch, given: Given, dtype: str) -> Array:
    """float32[B]: sum_t w_bt nll_bt of each row, what is measured."""
    rounded, x_BTD = last_states(wiring, params, batch, given, dtype)
    nll_BT = head.negative_log_likelihood(rounded, x_BTD, jnp.asarray(batch.targets))
    return jnp.sum(nll_BT * batch.weights, axis=1)


def last_states(wiring: Wiring, params: Tree, batch: Batch, given: Given, dtype: str) -> tuple[Tree, Array]:
    """The parameters rounded to `dtype`, but for an encoding's tables, and x_BTD under them."""
    tokens_BT, _, _, pos_BT, segments_BT = (jnp.asarray(part) for part in batch)
    where = placed(tokens_BT, pos_BT if given.positions else None, segments_BT if given.segments else None, None)
    rounded = computed_in(params, dtype)
    return rounded, whole_text(wiring, rounded, tokens_BT, where)


def computed_in(params: Tree, dtype: str) -> Tree:
    """The parameters as the forward pass takes them."""
    wanted = jnp.dtype(dtype)
    return {
        name: value if name == "encoding" else jax.tree.map(lambda x: x.astype(wanted), value)
        for name, value in params.items()
    }
