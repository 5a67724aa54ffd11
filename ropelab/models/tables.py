"""An encoding's learned tables inside a model: made for every layer, and handed to each layer as it runs.

`params["encoding"]` maps each kind of encoding of the model, "0", "1", ..., to its tables; those of a `per_layer`
encoding have a leading axis L.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ropelab.encodings.base import Encoding, Params
from ropelab.models.config import Wiring
from ropelab.models.family import Config

Tree = dict[str, Any]


def initialise_tables(key: Array, encoding: Encoding, config: Config) -> Tree:
    """Fresh tables for every kind of encoding that the layers run; `{}` if nothing is learned."""

    def made(key: Array, kind: Encoding) -> Params:
        return kind.init(key, num_heads=config.heads, head_dim=config.head_dim)

    tables = {}
    for n, kind in enumerate(encoding.unique_encodings()):
        own = jax.random.fold_in(key, n)
        layers = jax.random.split(own, config.layers)
        tables[str(n)] = jax.vmap(lambda k, kind=kind: made(k, kind))(layers) if kind.per_layer else made(own, kind)
    return tables if jax.tree.leaves(tables) else {}


def with_tables(weights: Tree, key: Array, encoding: Encoding, config: Config) -> Tree:
    """The parameters of a model under this encoding, its tables fresh."""
    tables = initialise_tables(key, encoding, config)
    return weights | ({"encoding": tables} if tables else {})


class LayerTables(NamedTuple):
    """What one layer needs to run its encoding.

    Attributes:
        number: of the layer, known or traced.
        own: the tables of `per_layer` kinds, for this layer.
        shared: the tables of the others.
    """

    number: int | Array
    own: Tree
    shared: Tree

    def of(self, kind: int) -> Params:
        return self.own.get(str(kind), {}) | self.shared.get(str(kind), {})


def divided(wiring: Wiring, params: Tree) -> tuple[Tree, Tree]:
    """`(stacked, shared)`: the tables with a leading axis L, and those that all layers have in common."""
    kinds, tables = wiring.encoding.unique_encodings(), params.get("encoding", {})
    stacked = {n: t for n, t in tables.items() if kinds[int(n)].per_layer}
    return stacked, {n: t for n, t in tables.items() if n not in stacked}


def embedded(wiring: Wiring, params: Tree, tokens_BT: Array, pos_BT: Array) -> Array:
    """x_BTD: the tokens as the first layer sees them."""
    x_BTD = params["embedding"][tokens_BT]
    kinds = wiring.encoding.unique_encodings()
    tables = params.get("encoding", {}).get("0", {}) if len(kinds) == 1 else {}
    return kinds[0].embed(tables, x_BTD, pos_BT) if len(kinds) == 1 else x_BTD


def kinds_of_layers(wiring: Wiring) -> Array:
    """i32[L]: which kind each layer runs."""
    return jnp.asarray([wiring.encoding.encoding_index(layer) for layer in range(wiring.config.layers)], jnp.int32)
