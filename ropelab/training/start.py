"""Where a training begins: random parameters, a checkpoint's, or those of another run."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from ropelab import models
from ropelab.checkpoints.assemble import assemble
from ropelab.checkpoints.locate import open_source
from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.encodings.base import Encoding
from ropelab.models.family import Config
from ropelab.models.parameters import initialise
from ropelab.models.tables import initialise_tables
from ropelab.training.folder import is_run
from ropelab.training.mesh import made_on

Tree = dict[str, Any]


class Origin(NamedTuple):
    """What a training begins from.

    Attributes:
        encoding: that the parameters were trained under; None for random ones.
        weights: without an encoding's tables.
        tables: an encoding's tables that came with the weights.
        tokenizer: None for random parameters, which have none.
    """

    config: Config
    encoding: Encoding | None
    weights: Tree
    tables: Tree
    tokenizer: Tokenizer | None


def sizes(model: str) -> Config | None:
    """The sizes of a model that begins from random parameters; None if `model` names a checkpoint.

    Raises:
        ValueError: for sizes that cannot be read.
    """
    return models.parse(model) if model.split("(")[0].strip() in models.CLASSES or "(" in model else None


def origin(model: str, *, seed: int, mesh: Mesh) -> Origin:
    """The parameters, float32, where the mesh wants them.

    Raises:
        ValueError: if there is no such checkpoint, or it cannot be read.
    """
    config = sizes(model)
    if config is not None:
        key, _ = keys(seed)
        return Origin(config, None, made_on(mesh, partial(drawn, config), key), {}, None)
    if is_run(model):
        return of_run(model, mesh)
    opened = open_source(model)
    weights = assemble(opened, dtype=jnp.float32, mesh=mesh)
    return Origin(opened.config, opened.encoding, weights, {}, opened.tokenizer)


def of_run(folder: str, mesh: Mesh) -> Origin:
    """What another run has come to, its adapter merged."""
    from ropelab.training.runs import open_run  # a run begins from something itself

    run = open_run(folder, mesh=mesh)
    params = run.plan.adaptation.merge(run.trainable, run.frozen)
    weights = {name: leaf for name, leaf in params.items() if name != "encoding"}
    return Origin(run.wiring.config, run.wiring.encoding, weights, params.get("encoding", {}), run.tokenizer)


def drawn(config: Config, key: jax.Array) -> Tree:
    return initialise(key, config, jnp.float32)


def keys(seed: int) -> tuple[jax.Array, jax.Array]:
    """For the weights, and for an encoding's tables: as `models.from_scratch` splits them."""
    for_weights, for_tables = jax.random.split(jax.random.key(seed))
    return for_weights, for_tables


def tables(encoding: Encoding, config: Config, *, seed: int, mesh: Mesh) -> Tree:
    """Fresh tables of an encoding that learns, on the mesh; `{}` of any other."""
    made = partial(initialise_tables, encoding=encoding, config=config)
    return made_on(mesh, made, keys(seed)[1])
